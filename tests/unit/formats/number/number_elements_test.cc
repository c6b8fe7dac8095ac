// Element codes against what others published: CUDA 13's conversions (on the vector kernels too), the cast
// tests of ONNX, the NVFP4 tests of ModelOpt. kernels_minifloat_test.cc has the scalar conversions.
#include <hwy/targets.h>

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/kernels/fp8.h"
#include "formats/kernels/minifloat.h"
#include "formats/kernels/nvfp4.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/source_folder.h"

using namespace strata;
using Json = nlohmann::json;

namespace {

const std::string golden = test::in_source("../shared/fixtures/golden/");

std::string golden_file(const std::string& name) {
  if (!exists(golden + name)) SKIP("needs ../shared/fixtures");
  return read_text(golden + name);
}

void on_every_instruction_set(const std::function<void()>& body) {
  struct Restored {
    ~Restored() { hwy::SetSupportedTargetsForTest(0); }
  } restored;
  for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    INFO("instruction set " << hwy::TargetName(targets & -targets));
    hwy::SetSupportedTargetsForTest(targets & -targets);
    body();
    hwy::SetSupportedTargetsForTest(0);
  }
}

struct Table {
  std::vector<float> values;        // every pattern but NaN
  std::vector<std::uint8_t> codes;  // what CUDA 13 gives for it
};

Table table_of(const std::string& name, float (*value)(std::uint16_t)) {
  const std::string codes = golden_file("cuda13_tables/" + name);
  REQUIRE(codes.size() == 65536);
  Table table;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float x = value(static_cast<std::uint16_t>(bits));
    if (std::isnan(x)) continue;
    table.values.push_back(x);
    table.codes.push_back(static_cast<std::uint8_t>(codes[bits]));
  }
  return table;
}

// NVFP4 with a scale of exactly 1: each group holds 15 values and 6, and 6 / 6 * 448 is the largest scale,
// 448, which the global scale of 448 divides.
std::vector<std::uint8_t> nvfp4_codes(const std::vector<float>& values) {
  std::vector<float> groups;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 15 == 0) groups.push_back(6);
    groups.push_back(values[i]);
  }
  groups.resize((groups.size() + 15) / 16 * 16);
  std::vector<std::uint8_t> packed(groups.size() / 2), scales(groups.size() / 16), codes;
  kernels::nvfp4_encode(groups.data(), static_cast<std::int64_t>(groups.size()), 448, packed.data(), scales.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t at = i / 15 * 16 + 1 + i % 15;
    codes.push_back(static_cast<std::uint8_t>(at % 2 == 0 ? packed[at / 2] & 15 : packed[at / 2] >> 4));
  }
  return codes;
}

std::vector<std::uint8_t> fp8_codes(const std::vector<float>& values) {
  std::vector<std::uint8_t> codes(values.size());
  kernels::fp8_encode(values.data(), static_cast<std::int64_t>(values.size()), 1, codes.data());
  return codes;
}

std::vector<float> onnx_values(const Json& tensor) {
  std::vector<float> values;
  for (const Json& bits : tensor.at("bits")) {
    const auto word = bits.get<std::uint32_t>();
    values.push_back(tensor.at("dtype") == "FLOAT16" ? from_f16_bits(static_cast<std::uint16_t>(word))
                                                     : std::bit_cast<float>(word));
  }
  return values;
}

void check_onnx_cast(const Json& test, std::uint8_t (*encode)(float), bool has_nan) {
  const std::vector<float> values = onnx_values(test.at("input_0"));
  const Json& codes = test.at("output_0").at("bits");
  REQUIRE(values.size() == codes.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO("value " << i << ": " << values[i]);
    if (has_nan || !std::isnan(values[i])) CHECK(encode(values[i]) == codes[i].get<std::uint8_t>());
  }
}

void check_onnx_decode(const Json& test, float (*decode)(std::uint8_t), float scale) {
  const std::vector<float> values = onnx_values(test.at("output_0"));
  const Json& codes = test.at("input_0").at("bits");
  REQUIRE(values.size() == codes.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float decoded = decode(codes[i].get<std::uint8_t>()) * scale;
    if (std::isnan(values[i]))
      CHECK(std::isnan(decoded));
    else
      CHECK(std::bit_cast<std::uint32_t>(decoded) == std::bit_cast<std::uint32_t>(values[i]));
  }
}

}  // namespace

TEST_CASE("the E2M1 kernels have the code of CUDA 13 for every bfloat16 and float16 value") {
  const Table bf16 = table_of("enc_bf16_fp4_e2m1.u8", from_bf16_bits);
  const Table f16 = table_of("enc_f16_fp4_e2m1.u8", from_f16_bits);
  on_every_instruction_set([&] {
    CHECK((nvfp4_codes(bf16.values) == bf16.codes));
    CHECK((nvfp4_codes(f16.values) == f16.codes));
  });
}

TEST_CASE("the E4M3 kernels have the code of CUDA 13 for every bfloat16 and float16 value") {
  const Table bf16 = table_of("enc_bf16_fp8_e4m3fn.u8", from_bf16_bits);
  const Table f16 = table_of("enc_f16_fp8_e4m3fn.u8", from_f16_bits);
  on_every_instruction_set([&] {
    CHECK((fp8_codes(bf16.values) == bf16.codes));
    CHECK((fp8_codes(f16.values) == f16.codes));
  });
}

TEST_CASE("casts to E2M1 and E4M3 are those of ONNX") {
  const Json tests = Json::parse(golden_file("onnx_cast_fp8_fp4_e8m0.json")).at("tests");
  for (const std::string source : {"FLOAT", "FLOAT16"}) {
    check_onnx_cast(tests.at("test_cast_" + source + "_to_FLOAT4E2M1"), encode_e2m1, false);
    check_onnx_cast(tests.at("test_cast_" + source + "_to_FLOAT8E4M3FN"), encode_e4m3, true);
    check_onnx_decode(tests.at("test_cast_FLOAT4E2M1_to_" + source), decode_e2m1, 1);
    check_onnx_decode(tests.at("test_cast_FLOAT8E4M3FN_to_" + source), decode_e4m3, 1);
  }
  check_onnx_decode(tests.at("test_dequantizelinear_e4m3fn"), decode_e4m3, 2);
  check_onnx_decode(tests.at("test_dequantizelinear_float4e2m1"), decode_e2m1, 2);
}

TEST_CASE("quantized values are those of ONNX") {
  const Json tests = Json::parse(golden_file("onnx_cast_fp8_fp4_e8m0.json")).at("tests");
  const Json& fp8 = tests.at("test_quantizelinear_e4m3fn");
  const std::vector<float> eight = onnx_values(fp8.at("input_0"));
  for (std::size_t i = 0; i < eight.size(); ++i)
    CHECK(encode_e4m3(eight[i] / 2) == fp8.at("output_0").at("bits")[i].get<std::uint8_t>());
  const Json& fp4 = tests.at("test_quantizelinear_float4e2m1");
  const std::vector<float> four = onnx_values(fp4.at("input_0")), scales = onnx_values(fp4.at("input_1"));
  for (std::size_t i = 0; i < four.size(); ++i) {
    if (four[i] == 0) continue;  // ONNX drops the sign of zero here and keeps it in its casts
    CHECK(encode_e2m1(four[i] / scales[i / 4]) == fp4.at("output_0").at("bits")[i].get<std::uint8_t>());
  }
}

TEST_CASE("NVFP4 weights are those of ModelOpt's fake quantization") {
  const Json cases = Json::parse(golden_file("modelopt_mx_nvfp4.json")).at("nvfp4_fake_quant").at("cases");
  REQUIRE(cases.size() >= 4);
  for (const Json& one : cases) {
    std::vector<float> row, expected;
    for (int copy = 0; copy < 2; ++copy) {
      for (const Json& v : one.at("input")) row.push_back(v.get<float>());
      for (const Json& v : one.at("output")) expected.push_back(v.get<float>());
    }
    REQUIRE(row.size() == 16);
    for (const float sign : {1.0f, -1.0f}) {
      for (float& v : row) v = std::copysign(v, sign);
      for (float& v : expected) v = std::copysign(v, sign);
      const NumberFormat& format = require_number_format("NVFP4A16");
      const WeightView view{row.data(), Dtype::f32, 1, 16};
      const test::EncodedWeight encoded = test::encode_weight(format, view, {.fused_amax = 6, .input_amax = 1});
      CHECK(test::decode_weight(format, encoded, {1, 16}) == expected);
    }
  }
}
