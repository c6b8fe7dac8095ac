// What `eval` and `logits` say where a runtime does not serve what the config says.
#include "engine/eval/served_notes.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/support/small_output.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// The decisions, "subject: text" lines.
struct Notes final : Reporter {
  std::string lines;
  void decision(const std::string& subject, const std::string& text) override { lines += subject + ": " + text + "\n"; }
};

std::string notes(const Formats& formats, ActivationMode activations) {
  const Output output(formats);
  output.write();
  Notes notes;
  note_served(open_model(output.model), activations, notes);
  return notes.lines;
}

}  // namespace

TEST_CASE("a simulation says which formats its runtime does not load, and which inputs it quantizes all the same") {
  const auto of_body = [](const char* format, ActivationMode activations) { return notes(body(format), activations); };
  for (const char* const plain : {"W4A16", "FP8_DYNAMIC"})
    for (const ActivationMode mode : {ActivationMode::none, ActivationMode::vllm, ActivationMode::transformers})
      CHECK(of_body(plain, mode).empty());
  CHECK_THAT(of_body("MXFP8A16", ActivationMode::vllm),
             ContainsSubstring("MXFP8A16: the inputs of ") && ContainsSubstring("as vLLM does on SM100 and newer"));
  CHECK_THAT(of_body("MXFP6A8", ActivationMode::vllm),
             ContainsSubstring("MXFP6A8: no released vLLM loads it: simulated with the inputs of its config"));
  CHECK_THAT(of_body("MXFP6A16", ActivationMode::vllm), ContainsSubstring("simulated with inputs left alone"));
  CHECK_THAT(of_body("NVFP4", ActivationMode::transformers),
             ContainsSubstring("NVFP4: transformers does not load experts in that format"));
  CHECK(of_body("NVFP4", ActivationMode::vllm).empty());
  for (const char* const silent : {"MXFP8A16", "MXFP6A8", "NVFP4"})
    CHECK(of_body(silent, ActivationMode::none).empty());
}
