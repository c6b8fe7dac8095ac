// W4A16, FP8_DYNAMIC, BF16, KEEP, and what holds for all formats.
#include <tbb/global_control.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>

#include "base/error.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"

using namespace strata;
using Bytes = std::vector<std::uint8_t>;

namespace {

std::uint32_t first_word(const std::vector<std::byte>& bytes) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

std::vector<float> padded(std::vector<float> values, std::size_t size) {
  values.resize(size);
  return values;
}

}  // namespace

TEST_CASE("W4A16 computes codes with the BF16 scale it stores") {
  const NumberFormat& format = require_number_format("W4A16");
  std::vector<float> w;
  for (const float v : {.011f, -.0235f, .0047f, .0312f, -.0608f, .0191f, -.0008f, .0421f})
    w.push_back(test::naive_bf16(v));
  const test::EncodedWeight encoded = test::encode_weight(format, padded(w, 128), 128);
  CHECK(encoded.codes("weight_scale") == Bytes{0x05, 0x3c});  // .00811767578125
  CHECK(first_word(encoded.at("weight_packed")) == 0xd8a1c959u);
  const test::EncodedWeight ties =
      test::encode_weight(format, padded({.9375f, -.46875f, .0625f, .1875f, -.9375f, .3125f, -.125f, .75f}, 128), 128);
  CHECK(ties.codes("weight_scale") == Bytes{0x00, 0x3e});  // 1/8
  CHECK(first_word(ties.at("weight_packed")) == 0xe7a0a84fu);
}

TEST_CASE("W4A16 stores the shape and gives zero groups the float32 epsilon") {
  const test::EncodedWeight encoded =
      test::encode_weight(require_number_format("w4a16"), std::vector<float>(512, 0.0f), 256);
  CHECK(encoded.codes("weight_shape") == Bytes{2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  CHECK(encoded.codes("weight_scale") == Bytes{0, 0x34, 0, 0x34, 0, 0x34, 0, 0x34});
  CHECK(encoded.codes("weight_packed") == Bytes(256, 0x88));
}

TEST_CASE("FP8_DYNAMIC stores the vector of the format with a BF16 scale a row") {
  std::vector<float> w = {1,           -.69921875f, .30078125f,   .050048828125f,
                          -.94921875f, .6015625f,   -.330078125f, .00099945068359375f};
  w.resize(16, -0.0f);
  const test::EncodedWeight encoded = test::encode_weight(require_number_format("FP8_DYNAMIC"), w, 8);
  CHECK(encoded.codes("weight_scale") == Bytes{0x12, 0x3b, 0x00, 0x34});
  CHECK(encoded.codes("weight") ==
        Bytes{0x7e, 0xfa, 0x70, 0x5b, 0xfd, 0x78, 0xf1, 0x2e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80});
}

TEST_CASE("formats equal the naive encodings on hostile weights") {
  const std::vector<float> w = test::hostile_weights(30, 640, 12);
  const test::EncodedWeight int4 = test::encode_weight(require_number_format("W4A16"), w, 640);
  const test::NaiveEncoding int4_expected = test::naive_w4a16(w, 640);
  CHECK((int4.codes("weight_packed") == int4_expected.codes));
  CHECK((int4.codes("weight_scale") == int4_expected.scales));
  CHECK((test::decode_weight(require_number_format("W4A16"), int4, {30, 640}) == int4_expected.decoded));
  const test::EncodedWeight fp8 = test::encode_weight(require_number_format("FP8_DYNAMIC"), w, 640);
  const test::NaiveEncoding fp8_expected = test::naive_fp8(w, 640);
  CHECK((fp8.codes("weight") == fp8_expected.codes));
  CHECK((fp8.codes("weight_scale") == fp8_expected.scales));
  CHECK((test::decode_weight(require_number_format("FP8_DYNAMIC"), fp8, {30, 640}) == fp8_expected.decoded));
  const test::EncodedWeight fp4 = test::encode_weight(require_number_format("NVFP4"), w, 640);
  const test::NaiveEncoding fp4_expected = test::naive_nvfp4(w, 640, fp4.scalar("weight_global_scale"));
  CHECK((fp4.codes("weight_packed") == fp4_expected.codes));
  CHECK((fp4.codes("weight_scale") == fp4_expected.scales));
  CHECK((test::decode_weight(require_number_format("NVFP4"), fp4, {30, 640}) == fp4_expected.decoded));
}

TEST_CASE("BF16 rounds and KEEP copies") {
  const std::vector<float> w = test::hostile_weights(7, 384, 13);
  const test::EncodedWeight bf16 = test::encode_weight(require_number_format("BF16"), w, 384);
  REQUIRE(bf16.fields.size() == 1);
  CHECK(bf16.fields[0].dtype == Dtype::bf16);
  std::vector<float> rounded;
  for (const float v : w) rounded.push_back(test::naive_bf16(v));
  CHECK((test::decode_weight(require_number_format("BF16"), bf16, {7, 384}) == rounded));
  const test::EncodedWeight kept = test::encode_weight(require_number_format("KEEP"), w, 384);
  CHECK(kept.fields[0].dtype == Dtype::f32);
  CHECK(std::memcmp(kept.at("weight").data(), w.data(), w.size() * 4) == 0);
  const std::vector<std::uint16_t> halves = test::bf16_bits(w);
  const test::EncodedWeight same =
      test::encode_weight(require_number_format("KEEP"), {halves.data(), Dtype::bf16, 7, 384}, {});
  CHECK(same.fields[0].dtype == Dtype::bf16);
  CHECK((same.at("weight") == bf16.at("weight")));
}

TEST_CASE("a bfloat16 weight encodes as its float32 values do") {
  const std::vector<float> wide = test::hostile_weights(23, 256, 14);
  const std::vector<std::uint16_t> halves = test::bf16_bits(wide);
  std::vector<float> values = wide;
  round_to_bf16(values);
  for (const NumberFormat* const format : number_formats()) {
    if (format->name == "KEEP" || format->source_only || format->refusal({23, 256})) continue;
    const EncodeContext context{.fused_amax = 1e30f, .input_amax = 2};
    const test::EncodedWeight from_half = test::encode_weight(*format, {halves.data(), Dtype::bf16, 23, 256}, context);
    const test::EncodedWeight from_float = test::encode_weight(*format, {values.data(), Dtype::f32, 23, 256}, context);
    CHECK((from_half.bytes == from_float.bytes));
  }
}

TEST_CASE("one thread and many give the same bytes") {
  const std::vector<float> w = test::hostile_weights(301, 384, 15);
  for (const NumberFormat* const format : number_formats()) {
    if (format->source_only || format->refusal({301, 384})) continue;
    INFO(format->name);
    const test::EncodedWeight many = test::encode_weight(*format, w, 384);
    const std::vector<float> many_decoded = test::decode_weight(*format, many, {301, 384});
    std::vector<float> x = w, y = w;
    if (format->quantize_input != nullptr) format->quantize_input(x, 301, 384, 100);
    const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
    CHECK((test::encode_weight(*format, w, 384).bytes == many.bytes));
    CHECK((test::decode_weight(*format, many, {301, 384}) == many_decoded));
    if (format->quantize_input != nullptr) format->quantize_input(y, 301, 384, 100);
    CHECK(std::memcmp(x.data(), y.data(), x.size() * 4) == 0);
  }
}

TEST_CASE("formats refuse shapes whose columns do not divide") {
  const auto reason = [](std::string_view format, const Shape& shape) {
    return require_number_format(format).refusal(shape).value_or("");
  };
  CHECK(reason("W4A16", {8, 200}) == "200 columns do not divide by 128");
  CHECK(reason("NVFP4", {8, 200}) == "200 columns do not divide by 16");
  CHECK(reason("NVFP4A16", {8, 208}).empty());
  CHECK(reason("FP8_DYNAMIC", {3, 7}).empty());
  CHECK(reason("FP8_DYNAMIC", {7}) == "shape [7] is not a matrix");
  CHECK(reason("W4A16", {2, 3, 128}) == "shape [2, 3, 128] is not a matrix");
  CHECK(reason("W4A16", {0, 128}) == "shape [0, 128] is empty");
  CHECK(reason("BF16", {3, 7}).empty());
  CHECK(reason("KEEP", {}).empty());
}

TEST_CASE("field sizes are the stated bits per weight") {
  for (const NumberFormat* const format : number_formats()) {
    if (format->verbatim) continue;
    std::uint64_t bytes = 0;
    for (const Field& field : format->fields({512, 1024}, Dtype::bf16, ScaleRule::minmax)) {
      const bool constant = *element_count(field.shape) <= 2 || field.shape == Shape{512, 1};
      if (!constant) bytes += *tensor_bytes(field.dtype, field.shape);
    }
    INFO(format->name);
    CHECK(static_cast<double>(bytes) * 8 / (512 * 1024) == format->bits_per_weight);
  }
}

TEST_CASE("number formats are found by name without regard to case") {
  CHECK(find_number_format("nvfp4") == &require_number_format("NVFP4"));
  CHECK(find_number_format("Fp8_Dynamic") != nullptr);
  CHECK(find_number_format("nvfp") == nullptr);
  for (const NumberFormat* const format : number_formats()) CHECK(&require_number_format(format->name) == format);
  try {
    require_number_format("nvfp5");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.fault == Fault::usage);
    CHECK_THAT(error.what(),
               Catch::Matchers::ContainsSubstring("nvfp5") && Catch::Matchers::ContainsSubstring("did you mean"));
  }
}

TEST_CASE("a format refuses columns that its groups, of weights or of inputs, do not divide") {
  const struct {
    const char* name;
    std::int64_t group;
  } cases[] = {{"NVFP4", 16},     {"MXFP4", 32},     {"MXFP6A8", 32},     {"MXFP8", 32},  {"MXFP4XFP8", 128},
               {"W4A16_G32", 32}, {"W4A16_G64", 64}, {"W4A16_ASYM", 128}, {"W8A16", 128}, {"FP8_BLOCK", 128}};
  for (const auto& [name, group] : cases) {
    INFO(name);
    const NumberFormat& format = require_number_format(name);
    CHECK(format.refusal({256, 5 * group + group / 2}).has_value());
    CHECK_FALSE(format.refusal({256, 5 * group}).has_value());
  }
}
