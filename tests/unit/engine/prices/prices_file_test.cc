// What is written of prices is read again to the bit, and what was changed by a stranger is refused with its place.
#include "engine/prices/prices_file.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>
#include <map>

#include "base/file.h"
#include "engine/prices/allocation_summary.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/unit/engine/prices/made_prices.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

Prices two_units() {
  Prices prices = made_prices({made_unit("a.up_proj", 0.1, 0.01), made_unit("b", 1.0 / 3, 1e-300)});
  prices.linears.insert(prices.linears.begin() + 1, {.module = "a.gate_proj", .unit = 0});
  prices.units[0].linears = 2;
  return prices;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("prices are read as they were written") {
  TemporaryFolder folder;
  const std::string path = folder.file("prices.json");
  Prices written = two_units();
  written.units[1].options[0].output.standard_error = std::numeric_limits<double>::infinity();
  const NumberFormat& jumps_in = *written.units[1].options[1].format;
  written.units[1].jump = {.format = &jumps_in, .nats = 1.0 / 7, .standard_error = 0.25, .pooled = true, .together = 3};
  written.flip_tokens = 512;
  written.units[0].tied = written.units[1].tied = true;
  written.unseen_bytes = 77;
  write_text(path, prices_json(written));
  const Prices read = read_prices(path);
  CHECK(read.units[0].tied);
  CHECK(read.units[1].tied);
  CHECK(read.unseen_bytes == 77);
  CHECK(read.flip_tokens == 512);
  CHECK_FALSE(read.units[0].jump);
  REQUIRE(read.units[1].jump);
  CHECK(read.units[1].jump->format == &jumps_in);
  CHECK(read.units[1].jump->nats == 1.0 / 7);
  CHECK(read.units[1].jump->standard_error == 0.25);
  CHECK(read.units[1].jump->pooled);
  CHECK(read.units[1].jump->together == 3);
  CHECK(prices_json(read) == prices_json(written));
  CHECK(read.made_from.hash() == written.made_from.hash());
  CHECK(read.tokens == 640);
  CHECK(read.other_bytes == 500);
  REQUIRE(read.units.size() == 2);
  CHECK(read.units[0].linears == 2);
  CHECK(read.units[0].kind == "mlp");
  CHECK(read.units[1].options[0].output.cost == 1.0 / 3);  // to the bit
  CHECK(std::isinf(read.units[1].options[0].output.standard_error));
  CHECK(read.units[1].options[1].output.standard_error == 0.1 * 1e-300);
  CHECK(read.units[1].options[1].format == &require_number_format("MXFP8A16"));
  CHECK(read.linears[1].unit == 0);
  CHECK(read.linears.back().why == "kept unless it is asked for");
}

TEST_CASE("a file of prices that is wrong is refused with the place") {
  TemporaryFolder folder;
  const std::string path = folder.file("prices.json"), right = prices_json(two_units());
  const auto complaint = [&](const std::string& text) {
    write_text(path, text);
    const Error error = thrown_by([&] { read_prices(path); });
    CHECK(error.fault == Fault::input);
    CHECK_THAT(error.what(), StartsWith(path + ": "));
    return std::string(error.what());
  };
  const std::vector<std::array<std::string, 3>> changes = {
      {"\"version\": 1", "\"version\": 2", "\"version\" is 2; this program reads version 1"},
      {"\"1a2b\"", "\"1a2c\"", "\"fingerprint\" is not that of \"made_from\""},
      {"\"1a2b\"", "12", "\"made_from\" has a value that is no text, \"source\""},
      {"\"made_from\"", "\"of\"", "has no object \"made_from\""},
      {"\"tokens\": 640", "\"tokens\": -1", "has no whole number \"tokens\""},
      {"\"units\": [", "\"units\": [7, ", "units[0] has no text \"unit\""},
      {"\"unit\": \"b\"", "\"unit\": \"a.up_proj\"", "units[1] is a.up_proj, which stands twice"},
      {"\"kind\": \"mlp\"", "\"kind\": \"mpl\"", "units[0] is of the kind 'mpl'"},
      {"\"parameters\": 1000", "\"parameters\": 0", "units[0] has no parameters"},
      {"\"format\": \"MXFP8A16\"", "\"format\": \"MXFP9\"", "units[0].options[1] names the number format 'MXFP9'"},
      {"\"format\": \"MXFP8A16\"", "\"format\": \"BF16\"", "units[0].options[2] is BF16, which the unit has already"},
      {"\"bytes\": 562", "\"bytes\": 99999999999999", "units[0].options[0] has no whole number \"bytes\" of at most"},
      {"\"cost\": 0.1", "\"cost\": -0.1", "units[0].options[0] has no number \"cost\" of 0 or more"},
      {"\"cost\": 0.1", "\"cost\": null", "units[0].options[0] has no number \"cost\" of 0 or more"},
      {"\"cost\": 0.1", "\"cost\": 1e999", "broken JSON"},
      {"\"standard_error\": 0.01", "\"standard_error\": \"0\"", "units[0].options[0] has no number \"standard_error\""},
      {"{\"linear\": \"b\", \"unit\": \"b\"}", "{\"linear\": \"b\", \"unit\": \"c\"}", "linears[2] belongs to c"},
      {"{\"linear\": \"b\", \"unit\": \"b\"}", "{\"linear\": \"b\", \"unit\": \"a.up_proj\"}",
       "units[1] has no Linear in \"linears\""},
      {"{\"linear\": \"b\"", "{\"linear\": \"a.gate_proj\"", "linears[2] is a.gate_proj, which stands twice"},
      {", \"why\": \"kept unless it is asked for\"", "", "linears[3] has no text \"why\""}};
  for (const auto& [from, to, said] : changes) {
    INFO(from << " -> " << to);
    CHECK_THAT(complaint(replaced(right, from, to)), ContainsSubstring(said));
  }
  for (std::size_t bytes = 0; bytes + 2 < right.size(); bytes += 7) complaint(right.substr(0, bytes));
  complaint(std::string(100'000, '['));
  complaint(replaced(right, "\"units\": [", "\"units\": [], \"x\": ["));
}
