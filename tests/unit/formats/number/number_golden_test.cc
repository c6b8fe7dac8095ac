// What compressed-tensors makes of the same weights and inputs (tests/oracle/write_number_goldens.py).
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cstring>

#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/source_folder.h"

using namespace strata;

namespace {

test::StoredModules golden(std::string_view format) {
  return test::read_modules(test::in_source("tests/golden/number/") + std::string(format) + ".safetensors");
}

void check_weights(const NumberFormat& format, std::string_view file, ScaleRule rule = ScaleRule::minmax) {
  int weights = 0;
  for (const auto& [name, tensors] : golden(file)) {
    if (!tensors.contains("weight_scale")) continue;
    const test::StoredTensor& source = tensors.at("source");
    const std::vector<float> values = test::float_values(source);
    const WeightView view{values.data(), Dtype::f32, source.shape[0], source.shape[1]};
    const test::EncodedWeight ours =
        test::encode_weight(format, view, {.rule = rule, .fused_amax = amax(values), .input_amax = 1});
    INFO(format.name << " " << name);
    for (const Field& field : ours.fields) {
      if (field.suffix == "input_global_scale") continue;
      const test::StoredTensor& theirs = tensors.at(field.suffix);
      CHECK(theirs.dtype == field.dtype);
      CHECK(theirs.shape == field.shape);
      CHECK((ours.at(field.suffix) == theirs.bytes));
    }
    ++weights;
  }
  CHECK(weights == 2);
}

void check_inputs(const NumberFormat& format, std::string_view file) {
  int inputs = 0;
  for (const auto& [name, tensors] : golden(file)) {
    if (!tensors.contains("input")) continue;
    const test::StoredTensor& input = tensors.at("input");
    std::vector<float> x = test::float_values(input);
    const float scale = tensors.contains("scale") ? test::float_values(tensors.at("scale")).front() : 0;
    format.quantize_input(x, input.shape[0], input.shape[1], scale);
    INFO(format.name << " " << name);
    CHECK(std::memcmp(x.data(), tensors.at("quantized").bytes.data(), x.size() * sizeof(float)) == 0);
    ++inputs;
  }
  CHECK(inputs == 2);
}

}  // namespace

TEST_CASE("NVFP4 stores what compressed-tensors stores") {
  check_weights(require_number_format("NVFP4"), "nvfp4", ScaleRule::compressed_tensors);
}

TEST_CASE("NVFP4A16 stores what compressed-tensors stores") {
  check_weights(require_number_format("NVFP4A16"), "nvfp4a16", ScaleRule::compressed_tensors);
}

TEST_CASE("W4A16 stores what compressed-tensors stores") { check_weights(require_number_format("W4A16"), "w4a16"); }

TEST_CASE("FP8_DYNAMIC stores what compressed-tensors stores") {
  check_weights(require_number_format("FP8_DYNAMIC"), "fp8_dynamic");
}

TEST_CASE("NVFP4 quantizes inputs as compressed-tensors does") {
  check_inputs(require_number_format("NVFP4"), "nvfp4");
}

TEST_CASE("FP8_DYNAMIC quantizes inputs as compressed-tensors does") {
  check_inputs(require_number_format("FP8_DYNAMIC"), "fp8_dynamic");
}
