// What a plan says about the runtimes, on the one-layer Llama and the small mixture of experts.
#include "engine/plan/serving_limits.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/error.h"
#include "tests/support/small_output.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

OpenModel mixture() { return open_model(test::in_source("tests/golden/models/qwen3-moe")); }

// The text of the decision about a subject; empty when there is none.
std::string decision(const Assignment& assignment, std::string_view subject) {
  for (const auto& [what, text] : assignment.decisions)
    if (what == subject) return text;
  return "";
}

}  // namespace

TEST_CASE("a format that no runtime loads is refused unless it is allowed, and then said") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"), {});
  const OpenModel model = open_model(folder.file("model"));
  for (const NumberFormat* const format : number_formats()) {
    if (!format->quantizes() || format->source_only) continue;
    INFO(format->name);
    AssignmentRequest options{.scheme = "BF16", .overrides = {{"*.o_proj", std::string(format->name)}}};
    if (format->serving.any()) {
      CHECK_THAT(decision(assign_formats(model, options), format->name), !ContainsSubstring("no released runtime"));
      continue;
    }
    try {
      assign_formats(model, options);
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.fault == Fault::usage);
      CHECK_THAT(error.what(),
                 ContainsSubstring("model.layers.0.self_attn.o_proj: would be " + std::string(format->name)) &&
                     ContainsSubstring(std::string(format->summary)) && ContainsSubstring("--allow-unservable"));
    }
    options.allow_unservable = true;
    CHECK_THAT(decision(assign_formats(model, options), format->name),
               ContainsSubstring("no released runtime loads it"));
  }
}

TEST_CASE("a head that vLLM does not load is a decision") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"), {});
  const OpenModel model = open_model(folder.file("model"));
  const auto said = [&](const char* format) {
    return decision(assign_formats(model, {.scheme = "W4A16", .overrides = {{"lm_head", format}}}), "lm_head");
  };
  for (const char* const served : {"NVFP4", "NVFP4A16", "MXFP4", "MXFP4A16", "MXFP8", "MXFP8A16", "FP8", "FP8_DYNAMIC",
                                   "W4A16", "W4A16_ASYM", "W8A16", "INT8", "BF16", "KEEP"})
    CHECK(said(served).empty());
  const test::Output wide([](const std::string&) { return ""; }, test::wide_head_config());
  const Assignment blocks =
      assign_formats(open_model(wide.source), {.scheme = "KEEP", .overrides = {{"lm_head", "FP8_BLOCK"}}});
  CHECK_THAT(decision(blocks, "lm_head"),
             ContainsSubstring("is FP8_BLOCK as asked, but vLLM does not load a head in that format"));
}

TEST_CASE("what vLLM's version or the hardware decides is a decision") {
  const OpenModel model = mixture();
  const auto said = [&](const char* format) {
    return decision(assign_formats(model, {.scheme = "KEEP", .overrides = {{"*.o_proj", format}}}), format);
  };
  CHECK(said("MXFP8A16") ==
        "says 16-bit inputs, but vLLM has one scheme for it and MXFP8: on SM100 and newer it quantizes the inputs of "
        "its 3 Linears");
  CHECK_THAT(said("MXFP4A16"), ContainsSubstring("one scheme for it and MXFP4:"));
  CHECK(said("MXFP4XFP8") == "is for newer vLLM: 0.28 to 0.31 take it for MXFP4 (3 Linears)");
  for (const char* const plain : {"MXFP4", "MXFP8", "NVFP4A16", "W4A16", "FP8_DYNAMIC"}) CHECK(said(plain).empty());
}

TEST_CASE("a quantized router is a decision") {
  const Assignment assignment =
      assign_formats(mixture(), {.scheme = "KEEP", .overrides = {{"*.1.mlp.gate", "FP8_DYNAMIC"}}});
  CHECK_THAT(decision(assignment, "model.layers.1.mlp.gate"), ContainsSubstring("transformers keeps routers dense"));
}

TEST_CASE("experts in a format that one loader does not take name that loader") {
  const OpenModel model = mixture();
  CHECK(assign_formats(model, {.scheme = "FP8_DYNAMIC"}).decisions.empty());
  CHECK_THAT(decision(assign_formats(model, {.scheme = "NVFP4A16"}), "model.layers.1"),
             ContainsSubstring("its experts are NVFP4A16 as asked, but transformers does not load experts"));
  CHECK_THAT(decision(assign_formats(model, {.scheme = "MXFP6A16"}), "model.layers.1"),
             ContainsSubstring("its experts are MXFP6A16 as asked, but vLLM does not load experts"));
}

TEST_CASE("experts of several formats, or quantized in some layers only, are a decision with the layers") {
  const OpenModel model = mixture();  // experts in layers 1 and 2
  for (const char* const other : {"KEEP", "BF16", "NVFP4A16"}) {
    const Assignment assignment =
        assign_formats(model, {.scheme = "FP8_DYNAMIC", .overrides = {{"*.2.mlp.experts.*", other}}});
    CHECK_THAT(decision(assignment, "experts"),
               ContainsSubstring(std::string("FP8_DYNAMIC in 1 layers (first model.layers.1), ") + other +
                                 " in 1 layers (first model.layers.2)") &&
                   ContainsSubstring("transformers takes one format for all experts"));
  }
  CHECK(
      decision(assign_formats(model, {.scheme = "FP8_DYNAMIC", .overrides = {{"*.mlp.experts.*", "BF16"}}}), "experts")
          .empty());
  const Assignment dense = assign_formats(
      model, {.scheme = "FP8_DYNAMIC", .ignore = {"*.1.mlp.experts.*"}, .overrides = {{"*.2.mlp.experts.*", "BF16"}}});
  CHECK(decision(dense, "experts").empty());  // both dense: one to a loader
}
