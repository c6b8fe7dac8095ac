// The trace of a whole run: every step of every layer has its event.
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Json = nlohmann::json;

TEST_CASE("a trace has every step of every layer") {
  const TemporaryFolder folder;
  write_token_rows(folder.file("ids.safetensors"), 8, 32, demo_vocabulary);
  QuantizeRequest options = options_in(folder, demo_model, "NVFP4", folder.file("ids.safetensors"), 8, 32);
  options.places.trace = folder.file("trace.json");
  output_of(options);

  const Json trace = Json::parse(read_text(options.places.trace));
  std::map<int, std::string> rows;
  for (const Json& event : trace)
    if (event.at("name") == "thread_name") {
      const std::string name = event.at("args").at("name");
      rows[event.at("tid")] = name.substr(0, name.find(' '));  // "read", "read 2"
    }
  std::map<std::string, std::set<int>> layers;  // that have an event in the row
  for (const Json& event : trace)
    if (event.at("ph") == "X") layers[rows.at(event.at("tid"))].insert(event.at("args").at("layer").get<int>());
  const std::set<int> decoder = {1, 2, 3, 4}, leaves = {0, 1, 2, 3, 4}, all = {0, 1, 2, 3, 4, 5};
  CHECK(layers["read"] == all);
  CHECK(layers["decode"] == decoder);
  CHECK(layers["compute"] == leaves);
  CHECK(layers["encode"] == decoder);
  CHECK(layers["compress"] == leaves);
  CHECK(layers["write"] == all);
}
