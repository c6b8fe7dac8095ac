#include "profiles/tensor_prefix.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/support/thrown.h"
#include "tests/unit/profiles/synthetic.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;

// The tensors under another prefix than "model."; lm_head has none.
test::Tensors renamed(test::Tensors tensors, const std::string& prefix) {
  for (test::StoredTensor& tensor : tensors)
    if (tensor.name.starts_with("model.")) tensor.name = prefix + tensor.name.substr(6);
  return tensors;
}

std::string refusal(const std::string& json, const test::Tensors& tensors) {
  const test::TemporaryFolder folder;
  test::write_checkpoint(folder.path(), json, tensors);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  try {
    describe_checkpoint(require_profile(checkpoint.config()), checkpoint);
  } catch (const Error& error) {
    CHECK(error.fault == Fault::input);
    return error.what();
  }
  return "";
}

const std::string llama = test::config_json("LlamaForCausalLM");
const std::string tied = test::config_json("LlamaForCausalLM", R"("tie_word_embeddings": true)");

TEST_CASE("names under another prefix are refused with the prefix and a way out") {
  const test::Tensors whole = test::llama_tensors();
  CHECK(refusal(llama, whole).empty());
  for (const char* const prefix :
       {"module.model.", "_orig_mod.model.", "base_model.model.model.", "language_model.model."})
    CHECK_THAT(refusal(llama, renamed(whole, prefix)),
               ContainsSubstring(fmt::format("stand under \"{}\"", prefix)) && ContainsSubstring("rename them"));
}

TEST_CASE("a base model is told from one whose head is lost") {
  test::Tensors base = renamed(test::llama_tensors(), "");
  CHECK_THAT(refusal(llama, base), ContainsSubstring("is a base model") && ContainsSubstring("AutoModelForCausalLM"));
  test::remove(base, "lm_head.weight");
  CHECK_THAT(refusal(tied, base),
             ContainsSubstring("layers.0.input_layernorm.weight") && ContainsSubstring("AutoModelForCausalLM"));
  CHECK_THAT(refusal(llama, base), ContainsSubstring("there is no lm_head.weight") &&
                                       ContainsSubstring("give the checkpoint of the causal model"));
}

TEST_CASE("an encoder beside the decoder does not hide the usual names") {
  test::Tensors tensors = test::llama_tensors();
  tensors.push_back(test::zeros("vision.layers.0.input_layernorm.weight", {8}));
  CHECK(refusal(llama, tensors).empty());
}

TEST_CASE("a base model's architecture is no typing mistake") {
  const auto error = [](const std::string& members) {
    const Config config = Config::parse(test::config_json("Qwen3Model", members), "config.json");
    return std::string(test::thrown_by([&] { require_profile(config); }).what());
  };
  CHECK_THAT(
      error(R"("tie_word_embeddings": true)"),
      ContainsSubstring("Qwen3Model is the base model of Qwen3ForCausalLM") && ContainsSubstring("save it again"));
  CHECK_THAT(error(R"("tie_word_embeddings": false)"), ContainsSubstring("give the checkpoint of the causal model"));
}

}  // namespace
}  // namespace strata
