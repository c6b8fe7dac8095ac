#include <catch2/catch_test_macros.hpp>
#include <map>
#include <string>

#include "base/file.h"
#include "engine/run/quantize.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

using namespace strata;

namespace {

std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const DirectoryEntry& entry : list_directory(folder))
    files[entry.name] = read_text(join_path(folder, entry.name));
  return files;
}

}  // namespace

TEST_CASE("a run writes the assignment it used, and the file gives the same bytes again") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"), {.inner = 200});  // down_proj is kept by its shape
  QuantizeRequest first{
      .places = {.model = folder.file("model"),
                 .output = folder.file("one"),
                 .work_directory = folder.file("one.work")},
      .assignment = {
          .scheme = "W4A16",
          .ignore = {"*.o_proj"},
          .overrides = {{"*.gate_proj", "nvfp4a16"}, {"*.up_proj", "NVFP4A16"}, {"lm_head", "FP8_DYNAMIC"}}}};
  Reporter silent;
  quantize(first, silent);
  const std::string file = join_path(first.places.work_directory, "assignment.json");
  CHECK(read_text(file) ==
        "{\n  \"version\": 1,\n  \"linears\": {\n"
        "    \"model.layers.0.self_attn.q_proj\": {\"format\": \"W4A16\"},\n"
        "    \"model.layers.0.self_attn.k_proj\": {\"format\": \"W4A16\"},\n"
        "    \"model.layers.0.self_attn.v_proj\": {\"format\": \"W4A16\"},\n"
        "    \"model.layers.0.self_attn.o_proj\": {\"format\": \"KEEP\"},\n"
        "    \"model.layers.0.mlp.gate_proj\": {\"format\": \"NVFP4A16\"},\n"
        "    \"model.layers.0.mlp.up_proj\": {\"format\": \"NVFP4A16\"},\n"
        "    \"model.layers.0.mlp.down_proj\": {\"format\": \"KEEP\"},\n"
        "    \"lm_head\": {\"format\": \"FP8_DYNAMIC\"}\n  }\n}\n");

  QuantizeRequest second{
      .places = {.model = first.places.model, .output = folder.file("two"), .work_directory = folder.file("two.work")},
      .assignment = {.file = file}};
  quantize(second, silent);
  CHECK(contents(first.places.output) == contents(second.places.output));
  CHECK(read_text(join_path(second.places.work_directory, "assignment.json")) == read_text(file));
}
