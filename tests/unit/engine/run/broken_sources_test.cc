// Sources that are broken: what cannot be read or would spoil an output is an error or a decision, never silence.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"
#include "engine/check/verify.h"
#include "engine/plan/open_model.h"
#include "engine/run/quantize.h"
#include "tests/support/coded_llama.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using test::CodedLinear;
using test::CodedTensors;

namespace {

QuantizeRequest options_for(const test::TemporaryFolder& folder, std::string scheme) {
  return {.places = {.model = folder.file("model"),
                     .output = folder.file("out"),
                     .work_directory = folder.file("out.work")},
          .assignment = {.scheme = std::move(scheme)}};
}

Error quantizing(const test::TemporaryFolder& folder, const std::string& scheme) {
  Reporter silent;
  return test::thrown_by([&] { quantize(options_for(folder, scheme), silent); });
}

}  // namespace

TEST_CASE("broken scales stop a run whether they are copied or decoded") {
  for (const float scale : {std::numeric_limits<float>::quiet_NaN(), -0.01f, 0.0f})
    for (const char* const scheme : {"KEEP", "W4A16"}) {
      const test::TemporaryFolder folder;
      test::write_coded_llama(folder.file("model"), test::fp8_static, 256, [&](const CodedLinear& linear) {
        CodedTensors tensors = test::static_coded(linear);
        if (linear.module.ends_with("o_proj")) tensors["weight_scale_inv"] = test::scalar(scale);
        return tensors;
      });
      INFO(scheme << " " << scale);
      const Error error = quantizing(folder, scheme);
      CHECK(error.fault == Fault::input);
      CHECK_THAT(error.what(), ContainsSubstring("o_proj.weight_scale_inv: is"));
      CHECK_THAT(error.what(), !ContainsSubstring("o_proj.model.layers"));
    }
}

TEST_CASE("a broken activation scale is not copied") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256, [&](const CodedLinear& linear) {
    CodedTensors tensors = test::static_coded(linear);
    if (linear.module.ends_with("o_proj")) tensors["activation_scale"] = test::scalar(-1);
    return tensors;
  });
  CHECK_THAT(quantizing(folder, "KEEP").what(), ContainsSubstring("o_proj.activation_scale"));
}

TEST_CASE("columns that do not divide into what shares a scale are refused, not read past their end") {
  const auto find = [](std::string_view) -> const TensorInfo* { return nullptr; };
  for (const auto& [name, cols] : {std::pair{"W4A16", 192}, {"NVFP4A16", 24}, {"MXFP4A16", 48}, {"FP8_BLOCK", 192}}) {
    const StoredLinear linear = find_stored_linear("m", {128, cols}, find_number_format(name), {}, find);
    INFO(name);
    CHECK(cut_refusal(linear).has_value());
    std::vector<float> out(static_cast<std::size_t>(128 * cols));
    CHECK_THAT(test::thrown_by([&] { decode_stored(linear, {}, out); }).what(),
               ContainsSubstring(std::to_string(cols)));
  }
  for (const Storage* const storage : native_storages()) {
    StoredLinear linear{.module = "m", .weight = {64, 63}, .storage = storage};
    INFO(storage->name);
    CHECK(cut_refusal(linear).has_value() == (storage->group > 1));
  }
}

TEST_CASE("a scale without a dimension is read in a compressed-tensors source") {
  const TensorInfo weight{.name = "m.weight", .dtype = Dtype::f8_e4m3, .shape = {4, 4}};
  const auto find = [&](std::string_view) { return &weight; };
  const StoredLinear linear = find_stored_linear("m", {4, 4}, find_number_format("FP8"), {}, find);
  for (const StoredPart& part : linear.parts) CHECK(part.takes(Shape{}) == (part.field.suffix != "weight"));
}

TEST_CASE("scales for a cache alone are refused: transformers does not load such a config") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  QuantizeRequest options = options_for(folder, "KEEP");
  options.assignment.kv_cache_fp8 = true;
  const Error error = test::thrown_by([&] { plan_quantize(options); });
  CHECK(error.fault == Fault::usage);
  CHECK_THAT(error.what(), ContainsSubstring("no Linear is quantized"));
}

TEST_CASE("names that nobody types do not keep anyone waiting, and NUL does not cut a message") {
  const std::string words[] = {std::string(60, 'a'), "b"};
  CHECK(suggest(std::string(1'000'000, 'a'), words).empty());
  const Error error = test::thrown_by([] { fail(Fault::input, "{}: is not there", std::string("a\0b", 3)); });
  CHECK(std::string(error.what()) == "a?b: is not there");
}

TEST_CASE("what is kept with a NaN in it is named, a Linear too") {
  struct Heard : Reporter {
    void decision(const std::string& subject, const std::string& text) override {
      if (text.find("NaN") != std::string::npos) subjects.push_back(subject);
    }
    std::vector<std::string> subjects;
  };
  const std::string layer = "model.layers.0.";
  for (const std::string& name : {layer + "self_attn.o_proj", layer + "input_layernorm.weight"}) {
    CAPTURE(name);
    const test::TemporaryFolder folder;
    const std::string tensor = name.ends_with(".weight") ? name : name + ".weight";
    test::write_tiny_llama(folder.file("model"), {.nan_in = tensor, .nan_at = 3});
    QuantizeRequest options = options_for(folder, "FP8_DYNAMIC");
    options.assignment.ignore = {"*.o_proj"};
    Heard heard;
    quantize(options, heard);
    CHECK(heard.subjects == std::vector{name});
  }
}

TEST_CASE("transformers goes by model_type, whatever the architectures say") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  std::string config = read_text(folder.file("model/config.json"));
  const std::string type = "\"model_type\": \"llama\"";
  REQUIRE(config.find(type) != config.npos);
  write_text(folder.file("model/config.json"),
             config.replace(config.find(type), type.size(), "\"model_type\": \"qwen3\""));
  Reporter silent;
  quantize(options_for(folder, "FP8_DYNAMIC"), silent);
  const VerifyReport report = verify({.model = folder.file("out")});
  CHECK(std::ranges::any_of(report.facts, [](const auto& fact) {
    return fact.first == "transformers" && fact.second == "no: it goes by model_type, which is qwen3, not llama";
  }));
}
