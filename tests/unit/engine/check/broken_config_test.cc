// Broken outputs: folders, configs and targets.
#include "tests/unit/engine/check/verify_corpus.h"

using namespace strata;
using namespace strata::test;

TEST_CASE("a container that is not whole is caught") {
  run_all({
      {"no metadata", "W4A16", {"metadata"}, "says format \"\"", {}, header("\"format\":\"pt\"", "\"formal\":\"pt\"")},
      {"metadata of another framework", "W4A16", {"metadata"}, "says format \"np\"", {}, header("\"pt\"", "\"np\"")},
      {"a cut shard",
       "W4A16",
       {"container"},
       "model.safetensors: tensor",
       {},
       [](Output& output) {
         const std::string text = read_text(shard(output));
         write_text(shard(output), std::string_view(text).substr(0, text.size() - 1));
       }},
      {"bytes after the last tensor",
       "W4A16",
       {"container"},
       "model.safetensors: ",
       {},
       [](Output& output) { write_text(shard(output), read_text(shard(output)) + "x"); }},
      {"tensors that overlap",
       "W4A16",
       {"container"},
       "model.safetensors: ",
       {},
       header("\"data_offsets\":[4096,", "\"data_offsets\":[4095,")},
      {"an index that lacks a tensor",
       "W4A16",
       {"container"},
       "does not name tensor model.norm.weight",
       {},
       indexed("1", "model.norm.weight")},
      {"an index with a tensor too many",
       "W4A16",
       {"container"},
       "tensor model.extra should stand",
       {},
       indexed("1", "", ", \"model.extra\": \"model.safetensors\"")},
      {"a shard that the index names is missing",
       "W4A16",
       {"container"},
       "model-2.safetensors: is missing",
       {},
       indexed("1", "", ", \"model.extra\": \"model-2.safetensors\"")},
      {"a tensor in two shards",
       "W4A16",
       {"container"},
       "stands also in",
       {},
       [](Output& output) {
         write_safetensors(join_path(output.model, "model-2.safetensors"),
                           std::vector{output.tensor("model.norm.weight")});
         indexed("1", "", ", \"model.extra\": \"model-2.safetensors\"")(output);
       }},
  });
}

TEST_CASE("files beside the shards that loaders stumble over are caught") {
  run_all({
      {"a wrong total", "W4A16", {"index-total"}, "metadata.total_size is 17", {}, indexed("17")},
      {"a leftover of a run",
       "W4A16",
       {"leftovers"},
       "model.safetensors.partial",
       {},
       file("model.safetensors.partial", "")},
      {"a file that nobody names",
       "W4A16",
       {"orphan-files"},
       "adapter.safetensors",
       {},
       file("adapter.safetensors", "")},
      {"a consolidated twin without an index",
       "W4A16",
       {"consolidated"},
       "vLLM would load both",
       {},
       [](Output& output) {
         file("consolidated.safetensors", "")(output);
         file("params.json", "{}")(output);
       }},
      {"a consolidated twin without params.json",
       "W4A16",
       {"consolidated"},
       "without params.json",
       {},
       [](Output& output) {
         file("consolidated.safetensors", "")(output);
         indexed("right")(output);
       }},
      {"a consolidated index that names what is not there",
       "W4A16",
       {"consolidated"},
       "names consolidated-2.safetensors",
       {},
       [](Output& output) {
         file("consolidated-1.safetensors", "")(output);
         file("params.json", "{}")(output);
         file("consolidated.safetensors.index.json",
              R"({"weight_map": {"a": "consolidated-1.safetensors", "b": "consolidated-2.safetensors"}})")(output);
         indexed("right")(output);
       }},
  });
}

TEST_CASE("a quantization_config that breaks the schema is caught") {
  run_all({
      {"an unknown argument",
       "W4A16",
       {"config-schema"},
       "damping is not a key",
       replaced("\"num_bits\": 4", "\"damping\": 1, \"num_bits\": 4")},
      {"an unknown key of a group",
       "W4A16",
       {"config-schema"},
       "kind is not a key of a group",
       replaced("\"targets\"", "\"kind\": 1, \"targets\"")},
      {"no status",
       "W4A16",
       {"config-schema"},
       "quantization_status is missing",
       replaced("\"quantization_status\": \"compressed\",", "")},
      {"frozen",
       "W4A16",
       {"config-schema"},
       "quantization_status is \"frozen\"",
       replaced("\"compressed\"", "\"frozen\"")},
      {"a group without a format, and another one at the top than transformers infers",
       "W4A16",
       {"config-schema"},
       "vLLM reads \"dense\" from the top level, transformers takes the group for \"pack-quantized\"",
       [](Output& output) {
         const std::string text = "\"format\": \"pack-quantized\",";
         output.config.erase(output.config.rfind(text), text.size());
         output.config.replace(output.config.find("\"pack-quantized\""), 16, "\"dense\"");
       }},
      {"an MX format that stands at the top alone, as older writers spell it",
       "MXFP8",
       {"config-schema"},
       "format is missing",
       [](Output& output) {
         const std::string format = "\"format\": \"mxfp8-quantized\",", dtype = "\"scale_dtype\": \"torch.uint8\"";
         output.config.erase(output.config.rfind(format), format.size());
         for (int i = 0; i < 2; ++i) replaced(dtype, "\"scale_dtype\": null")(output);
       }},
      {"a format that no loader knows, at the top alone",
       "MXFP6_E3M2",
       {"config-schema"},
       "format is missing",
       [](Output& output) {
         const std::string format = "\"format\": \"mxfp6";
         const std::size_t at = output.config.rfind(format);
         output.config.erase(at, output.config.find(',', at) + 1 - at);
       }},
  });
}

TEST_CASE("formats and arguments that contradict each other are caught") {
  run_all({
      {"mixed precision of one format",
       "W4A16",
       {"config-schema"},
       "expected \"pack-quantized\"",
       replaced("\"format\": \"pack-quantized\"", "\"format\": \"mixed-precision\"")},
      {"one format for groups of two",
       "W4A16",
       {"config-schema"},
       "the groups have 2 formats",
       [](Output& output) {
         groups({{"W4A16", {any_linear}}, {"FP8_DYNAMIC", {"re:none"}}}, {head, routers})(output);
         replaced("mixed-precision", "pack-quantized")(output);
       }},
      {"bits as a text",
       "W4A16",
       {"config-schema"},
       "num_bits is \"4\"",
       replaced("\"num_bits\": 4", "\"num_bits\": \"4\"")},
      {"columns in an order of their own",
       "W4A16",
       {"config-schema"},
       "actorder is \"group\"",
       replaced("\"actorder\": null", "\"actorder\": \"group\"")},
      {"tokens that are not dynamic",
       "FP8_DYNAMIC",
       {"config-schema"},
       "strategy token needs dynamic true",
       replaced("\"dynamic\": true", "\"dynamic\": false")},
      {"a group size without groups",
       "FP8_DYNAMIC",
       {"config-schema"},
       "group_size 64 does not go with strategy channel",
       replaced("\"group_size\": null", "\"group_size\": 64")},
      {"groups without a size",
       "W4A16",
       {"config-schema"},
       "strategy group needs a group_size",
       replaced("\"group_size\": 128", "\"group_size\": null")},
  });
}

TEST_CASE("strategies that loaders refuse and stale configs are caught") {
  run_all({
      {"blocks without a structure",
       "FP8_DYNAMIC",
       {"config-schema"},
       "goes with strategy block",
       replaced("\"strategy\": \"channel\"", "\"strategy\": \"block\"")},
      {"inputs by channel",
       "FP8_DYNAMIC",
       {"config-schema"},
       "inputs have no strategy channel",
       replaced("\"strategy\": \"token\"", "\"strategy\": \"channel\"")},
      {"dynamic weights",
       "FP8_DYNAMIC",
       {"config-schema"},
       "weights are not dynamic",
       replaced("\"dynamic\": false", "\"dynamic\": true")},
      {"a switch of a loader",
       "W4A16",
       {"config-schema"},
       "run_compressed",
       replaced("\"quantization_status\"", "\"run_compressed\": true, \"quantization_status\"")},
      {"a cut target list",
       "W4A16",
       {"config-schema", "stored-format", "unmatched"},
       "targets is []",
       groups({{"W4A16", {}}}, {head, routers})},
      {"another tool's method", "W4A16", {"quantization-config"}, "awq", replaced("compressed-tensors", "awq")},
      {"a stale config of the text model",
       "W4A16",
       {"stale-config"},
       "text_config.quantization_config is there",
       [](Output& output) {
         std::string inner = config_json;
         inner.insert(1, R"("quantization_config": {"quant_method": "fp8"}, )");
         output.config.insert(1, fmt::format("\"text_config\": {}, ", inner));
       }},
  });
}
