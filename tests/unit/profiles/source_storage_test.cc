#include "profiles/source_storage.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/unit/profiles/synthetic.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;

// What is left over in a Llama with these tensors and this config; or the error.
std::string leftover(const std::string& members, const test::Tensors& tensors = test::llama_tensors()) {
  const test::TemporaryFolder folder;
  test::write_checkpoint(folder.path(), test::config_json("LlamaForCausalLM", members), tensors);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  try {
    const ModelSpec spec = describe_checkpoint(require_profile(checkpoint.config()), checkpoint);
    return find_storage(checkpoint, spec).leftover;
  } catch (const Error& error) {
    CHECK(error.fault == Fault::input);
    return error.what();
  }
}

// A config of compressed-tensors that quantizes one target to W8A16 per channel.
std::string compressed(std::string_view target, std::string_view more = "") {
  return fmt::format(R"("quantization_config": {{"quant_method": "compressed-tensors", "format": "pack-quantized",
    "config_groups": {{"group_0": {{"targets": ["{}"], "weights": {{"num_bits": 8, "type": "int", "symmetric": true,
    "strategy": "channel"}}}}}}{}}})",
                     target, more);
}

const std::string compressed_text = "quantization_config (quant_method compressed-tensors)";

TEST_CASE("what a config says of dense weights is left over, whichever tool's it is") {
  CHECK(leftover("").empty());
  CHECK(leftover(R"("quantization_config": null)").empty());
  CHECK(leftover(R"("quantization_config": {})") == "quantization_config (without a quant_method)");
  CHECK(leftover(R"("quantization_config": {"quant_method": "made-up"})") ==
        "quantization_config (quant_method made-up)");
  CHECK(leftover(R"("quantization": {"bits": 4, "group_size": 64})") == "quantization (quant_method mlx)");
  CHECK(leftover(R"("quantization": "none")").empty());
}

TEST_CASE("a config of compressed-tensors is left over when it names a Linear, were it only the head") {
  CHECK(leftover(compressed("Linear")) == compressed_text);
  CHECK(leftover(compressed("lm_head")) == compressed_text);
  CHECK(leftover(compressed("model.layers.1.mlp.up_proj")) == compressed_text);
  CHECK(leftover(compressed("vision.proj")).empty());
  CHECK(leftover(compressed("Linear", R"(, "ignore": ["re:.*"])")).empty());
}

TEST_CASE("one tensor in codes, and the config counts") {
  test::Tensors tensors = test::llama_tensors();
  test::remove(tensors, "model.layers.0.mlp.up_proj.weight");
  tensors.push_back(test::zeros("model.layers.0.mlp.up_proj.qweight", {1, 12}, Dtype::i32));
  CHECK_THAT(leftover(R"("quantization_config": {"quant_method": "gptq"})", tensors),
             ContainsSubstring("is quantized by GPTQ") && ContainsSubstring("up_proj.qweight is I32 [1, 12]"));
  CHECK_THAT(leftover("", tensors), ContainsSubstring("is quantized by GPTQ or AWQ"));
  CHECK(leftover(compressed("Linear"), tensors).empty());
}

}  // namespace
}  // namespace strata
