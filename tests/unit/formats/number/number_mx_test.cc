// The MX formats: published vectors, and a naive reference over hostile weights.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "formats/kernels/mx.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"
#include "tests/support/naive_mx.h"
#include "tests/support/thrown.h"

using namespace strata;
using Bytes = std::vector<std::uint8_t>;
using test::NaiveMxRule;

namespace {

struct MxCase {
  const char* format;
  const char* element;
};

constexpr MxCase cases[] = {{"MXFP4", "e2m1"},   {"MXFP4A16", "e2m1"},   {"MXFP4XFP8", "e2m1"}, {"MXFP6A16", "e2m3"},
                            {"MXFP6A8", "e2m3"}, {"MXFP6_E3M2", "e3m2"}, {"MXFP8", "e4m3"},     {"MXFP8A16", "e4m3"}};

std::string codes_of(const MxCase& c) { return std::string(c.element) == "e4m3" ? "weight" : "weight_packed"; }

std::uint8_t scale_byte(std::string_view format, float peak) {
  std::vector<float> w(128, 0.0f);
  std::fill_n(w.begin(), 32, peak);
  return test::encode_weight(require_number_format(format), w, 128).codes("weight_scale").front();
}

// Finite bit patterns, 128 rows of 256 at random and then each in order: huge ratios, subnormals, infinite scales.
std::vector<std::uint16_t> all_halves(unsigned exponent_mask, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> bits;
  while (bits.size() < 128 * 256) {
    unsigned pattern = static_cast<unsigned>(random()) & 0xffffu;
    // Of every other group the values are near each other.
    if (bits.size() / 32 % 2 == 1 && bits.size() % 32 != 0)
      pattern = (bits[bits.size() / 32 * 32] & 0x7f80u) ^ (pattern & 0x81ffu);
    if ((pattern & exponent_mask) != exponent_mask) bits.push_back(static_cast<std::uint16_t>(pattern));
  }
  for (unsigned pattern = 0; pattern < 65536; ++pattern)
    if ((pattern & exponent_mask) != exponent_mask) bits.push_back(static_cast<std::uint16_t>(pattern));
  return bits;
}

std::vector<float> widened(const std::vector<std::uint16_t>& bits, Dtype dtype) {
  std::vector<float> values(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const auto word = static_cast<std::uint32_t>(bits[i]) << 16;
    if (dtype == Dtype::bf16)
      std::memcpy(&values[i], &word, 4);
    else
      values[i] = test::naive_f16_value(bits[i]);
  }
  return values;
}

std::vector<float> hostile(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::vector<float> w = test::hostile_weights(rows, cols, seed);
  std::mt19937 random(seed + 1);
  for (std::size_t i = w.size() / 2; i < w.size(); ++i) {
    std::uint32_t bits = 0x7f800000u;
    while ((bits & 0x7f800000u) == 0x7f800000u) bits = static_cast<std::uint32_t>(random());
    if (i / 64 % 3 == 0) std::memcpy(&w[i], &bits, 4);
  }
  return w;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_equal(const MxCase& c, const WeightView& view, ScaleRule rule, const test::NaiveMx& expected,
                 const std::vector<float>& column_weight = {}) {
  const NumberFormat& format = require_number_format(c.format);
  const test::EncodedWeight encoded = test::encode_weight(format, view, {.rule = rule, .column_weight = column_weight});
  INFO(c.format << ", rule " << static_cast<int>(rule) << ", " << dtype_name(view.dtype));
  CHECK((encoded.codes("weight_scale") == expected.scales));
  CHECK((encoded.codes(codes_of(c)) == expected.codes));
  CHECK(same_bits(test::decode_weight(format, encoded, {view.rows, view.cols}), expected.decoded));
}

// The weight of the published vectors; its peak is 1.625 * 2^-1.
std::vector<float> published_weight() {
  std::vector<float> w = {.8125f,
                          -.40625f,
                          .203125f,
                          .1015625f,
                          -.0703125f,
                          .0546875f,
                          .02734375f,
                          -.013671875f,
                          .5f,
                          -.25f,
                          .34375f,
                          -.640625f,
                          0,
                          .171875f,
                          -.296875f,
                          .75f,
                          .06640625f,
                          -.033203125f,
                          .0166015625f,
                          .05078125f,
                          -.04296875f,
                          .0078125f,
                          -.00390625f,
                          .001953125f,
                          0,
                          .060546875f,
                          -.05859375f,
                          .025390625f,
                          .0322265625f,
                          -.021484375f,
                          .01171875f,
                          -.0625f};
  return w;
}

Bytes hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 3)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

}  // namespace

TEST_CASE("MX weights equal the published vectors") {
  std::vector<float> w = published_weight();
  const auto encoded = [&](std::string_view name) { return test::encode_weight(require_number_format(name), w, 32); };
  CHECK(encoded("MXFP4").codes("weight_scale") == Bytes{124});
  CHECK(encoded("MXFP4").codes("weight_packed") == hex("d7 23 19 80 c6 f5 30 7c 91 10 09 08 10 09 81 90"));
  CHECK(encoded("MXFP8").codes("weight_scale") == Bytes{118});
  CHECK(encoded("MXFP8").codes("weight") == hex("7d f5 6d 65 e1 5e 56 ce 78 f0 73 fa 00 6b f2 7c "
                                                "60 d8 50 5d db 48 c0 38 00 60 df 55 58 d3 4c e0"));
  w[0] = 0.875f;  // 1.75 * 2^-1: where the exponent steps up
  CHECK(encoded("MXFP4").codes("weight_scale") == Bytes{125});
  CHECK(encoded("MXFP4").codes("weight_packed") == hex("b6 12 09 80 a4 d3 10 5a 81 00 08 08 00 08 80 80"));
  CHECK(encoded("MXFP8").codes("weight_scale") == Bytes{119});
  CHECK(encoded("MXFP8").codes("weight") == hex("76 ed 65 5d d9 56 4e c6 70 e8 6b f2 00 63 ea 74 "
                                                "58 d0 48 55 d3 40 b8 30 00 58 d7 4d 50 cb 44 d8"));
}

TEST_CASE("MX exponents equal the published table") {
  const struct {
    float peak;
    int fp4, fp8;
  } rows[] = {{1.0f, 125, 119},    {1.5f, 125, 119},   {1.625f, 125, 119}, {1.75f, 126, 120},  {1.875f, 126, 120},
              {1.9375f, 126, 120}, {3.0f, 126, 120},   {6.0f, 127, 121},   {6.5f, 127, 121},   {7.0f, 128, 122},
              {8.0f, 128, 122},    {448.0f, 134, 128}, {449.0f, 134, 128}, {496.0f, 134, 128}, {1e-3f, 115, 109}};
  for (const auto& row : rows) {
    INFO(row.peak);
    CHECK(scale_byte("MXFP4", row.peak) == row.fp4);
    CHECK(scale_byte("MXFP8", -row.peak) == row.fp8);
  }
  const float peaks[] = {1.0f, 1.49f, 1.5f, 1.51f, 1.75f, 1.8125f, 1.99f};
  const int bytes[] = {125, 125, 125, 125, 126, 126, 126};
  for (std::size_t i = 0; i < std::size(peaks); ++i) CHECK(scale_byte("MXFP4A16", peaks[i]) == bytes[i]);
  // FP6 steps up only where the peak would round past the largest element.
  CHECK(scale_byte("MXFP6A16", 1.9374999f) == 125);
  CHECK(scale_byte("MXFP6A16", 1.9375f) == 126);
  CHECK(scale_byte("MXFP6_E3M2", 1.8749999f) == 123);
  CHECK(scale_byte("MXFP6_E3M2", 1.875f) == 124);
}

TEST_CASE("peaks round to the powers of two that compressed-tensors tests") {
  const float in[] = {5.687891f,  -8.291567f, -1.540329f, -0.315635f, 0.965272f,  -6.94413f, 0.073246f,
                      -0.451778f, 8.571118f,  -9.856593f, -0.040571f, -0.708509f, 2.485657f, -4.003352f,
                      -0.9956f,   0.224199f,  5.032586f,  -1.309816f, -0.621958f, 7.290238f, -9.848001f,
                      -0.290731f, 1.501562f,  0.379829f,  -5.312081f};
  const float power[] = {4, 8, 1,    .25f, 1, 4,   .0625f, .5f, 8,    8, .03125f, .5f, 2,
                         4, 1, .25f, 4,    1, .5f, 8,      8,   .25f, 1, .25f,    4};
  for (std::size_t i = 0; i < std::size(in); ++i)
    CHECK(scale_byte("MXFP4", test::naive_bf16(in[i])) == 127 - 2 + std::ilogb(power[i]));
}

TEST_CASE("a group of zeros takes the smallest normal scale, 0 or 127 as compressed-tensors") {
  for (const MxCase& c : cases) {
    INFO(c.format);
    const NumberFormat& format = require_number_format(c.format);
    const std::vector<float> zeros(128, 0.0f);
    const std::vector<std::uint16_t> halves(128, 0);
    for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::search, ScaleRule::compressed_tensors})
      for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
        const void* const data = dtype == Dtype::f32 ? static_cast<const void*>(zeros.data()) : halves.data();
        const test::EncodedWeight encoded = test::encode_weight(format, {data, dtype, 1, 128}, {.rule = rule});
        const std::uint8_t theirs = dtype == Dtype::f16 ? 127 : 0;
        CHECK(encoded.codes("weight_scale") == Bytes(4, rule == ScaleRule::compressed_tensors ? theirs : 1));
        const Bytes codes = encoded.codes(codes_of(c));
        CHECK(std::ranges::all_of(codes, [](std::uint8_t code) { return code == 0; }));
      }
  }
}

TEST_CASE("the sign of zero is kept, but as compressed-tensors drops it in FP4 and FP8") {
  std::vector<float> w(32, 0.0f);
  w[0] = 1, w[1] = -0.0f, w[2] = -1e-3f;
  const NumberFormat& format = require_number_format("MXFP4");
  const WeightView view{w.data(), Dtype::f32, 1, 32};
  const auto first = [&](ScaleRule rule) {
    const Bytes codes = test::encode_weight(format, view, {.rule = rule}).codes("weight_packed");
    return Bytes{codes[0], codes[1]};
  };
  CHECK(first(ScaleRule::minmax) == Bytes{0x86, 0x08});
  CHECK(first(ScaleRule::search) == Bytes{0x86, 0x08});
  CHECK(first(ScaleRule::compressed_tensors) == Bytes{0x06, 0x08});
  const NumberFormat& wide = require_number_format("MXFP8");
  CHECK(test::encode_weight(wide, view, {.rule = ScaleRule::minmax}).codes("weight")[1] == 0x80);
  CHECK(test::encode_weight(wide, view, {.rule = ScaleRule::compressed_tensors}).codes("weight")[1] == 0x00);
}

TEST_CASE("MX encodings equal the naive ones on hostile float32 weights") {
  for (const std::int64_t cols : {128, 384, 4224}) {
    const std::vector<float> w = hostile(20, cols, static_cast<unsigned>(cols));
    const WeightView view{w.data(), Dtype::f32, 20, cols};
    std::vector<float> column_weight;
    std::mt19937 random(5);
    for (std::int64_t i = 0; i < cols; ++i)
      column_weight.push_back(i / 32 % 4 == 3 ? 0.0f : std::ldexp(static_cast<float>(random() % 4096), -12));
    for (const MxCase& c : cases) {
      const test::NaiveMxElement element = test::naive_mx_element(c.element);
      check_equal(c, view, ScaleRule::minmax, naive_mx(w, element, NaiveMxRule::minmax));
      check_equal(c, view, ScaleRule::search, naive_mx(w, element, NaiveMxRule::search));
      check_equal(c, view, ScaleRule::search, naive_mx(w, element, NaiveMxRule::search, column_weight), column_weight);
      if (std::string(c.element) != "e3m2")
        check_equal(c, view, ScaleRule::compressed_tensors, naive_mx(w, element, NaiveMxRule::theirs_f32));
    }
  }
}

TEST_CASE("MX encodings equal the naive ones on all kinds of 16-bit weights") {
  for (const Dtype dtype : {Dtype::bf16, Dtype::f16}) {
    const auto bits = all_halves(dtype == Dtype::bf16 ? 0x7f80 : 0x7c00, 21);
    const std::vector<float> w = widened(bits, dtype);
    const WeightView view{bits.data(), dtype, static_cast<std::int64_t>(bits.size()) / 256, 256};
    const NaiveMxRule theirs = dtype == Dtype::bf16 ? NaiveMxRule::theirs_bf16 : NaiveMxRule::theirs_f16;
    for (const MxCase& c : cases) {
      const test::NaiveMxElement element = test::naive_mx_element(c.element);
      check_equal(c, view, ScaleRule::minmax, naive_mx(w, element, NaiveMxRule::minmax));
      check_equal(c, view, ScaleRule::search, naive_mx(w, element, NaiveMxRule::search));
      if (std::string(c.element) != "e3m2")
        check_equal(c, view, ScaleRule::compressed_tensors, naive_mx(w, element, theirs));
    }
  }
}

TEST_CASE("an MX search never gives a group more error, and in FP4 at times less") {
  const std::vector<float> w = hostile(40, 512, 31);
  for (const MxCase& c : cases) {
    INFO(c.format);
    const test::NaiveMxElement element = test::naive_mx_element(c.element);
    const NumberFormat& format = require_number_format(c.format);
    const WeightView view{w.data(), Dtype::f32, 40, 512};
    const Bytes plain = test::encode_weight(format, view, {}).codes("weight_scale");
    const Bytes searched = test::encode_weight(format, view, {.rule = ScaleRule::search}).codes("weight_scale");
    std::size_t better = 0, worse = 0;
    for (std::size_t g = 0; g < plain.size(); ++g) {
      const std::span<const float> group = std::span(w).subspan(32 * g, 32);
      const double before = test::naive_mx_error(group, element, plain[g]);
      const double after = test::naive_mx_error(group, element, searched[g]);
      better += after < before ? 1 : 0;
      worse += after > before ? 1 : 0;
    }
    CHECK(worse == 0);
    if (std::string(c.element) == "e2m1") CHECK(better > plain.size() / 100);
  }
}

TEST_CASE("MX inputs equal the naive ones, without the sign of -0") {
  const std::vector<float> w = hostile(20, 384, 51);
  for (const MxCase& c : {MxCase{"MXFP4", "e2m1"}, MxCase{"MXFP8", "e4m3"}, MxCase{"MXFP6A8", "e4m3"}}) {
    INFO(c.format);
    std::vector<float> x = w;
    for (float& v : x)
      if (std::fabs(v) > 0x1p126f) v *= 0x1p-4f;  // a scale that overflows gives NaN of no certain sign
    const std::vector<float> expected = naive_mx_input(x, test::naive_mx_element(c.element));
    require_number_format(c.format).quantize_input(x, 20, 384, 0);
    CHECK(same_bits(x, expected));
  }
  std::vector<float> x = w, expected;
  for (float& v : x)
    if (std::fabs(v) > 0x1p126f) v *= 0x1p-4f;
  expected = test::naive_fp8_input(x, 128);
  require_number_format("MXFP4XFP8").quantize_input(x, 20, 384, 0);
  CHECK(same_bits(x, expected));
  for (const char* const name : {"MXFP4A16", "MXFP6A16", "MXFP8A16", "MXFP6_E3M2"})
    CHECK(require_number_format(name).quantize_input == nullptr);
}

TEST_CASE("vLLM rounds the scales of MX inputs up, and quantizes those of the 16-bit variants too") {
  std::vector<float> w = hostile(20, 384, 52);
  for (const float peak : {1.5f, std::nextafter(1.5f, 2.0f), 1.75f, std::nextafter(1.75f, 2.0f), 0x1p-125f, 0x1p-126f})
    for (int i = 0; i < 32; ++i) w.push_back(i == 7 ? -peak : peak * static_cast<float>(i) / 40);
  w.resize(w.size() + 384 - 6 * 32);
  for (float& v : w)
    if (std::fabs(v) > 0x1p126f) v *= 0x1p-4f;  // what rounds up past the range is infinite
  for (const MxCase& c :
       {MxCase{"MXFP4", "e2m1"}, MxCase{"MXFP4A16", "e2m1"}, MxCase{"MXFP8", "e4m3"}, MxCase{"MXFP8A16", "e4m3"}}) {
    INFO(c.format);
    std::vector<float> x = w;
    const std::vector<float> expected = naive_mx_input_upward(x, test::naive_mx_element(c.element));
    require_number_format(c.format).input_rule(Runtime::vllm)(x, 21, 384, 0);
    CHECK(x == expected);
  }
  CHECK(require_number_format("MXFP4XFP8").input_rule(Runtime::vllm) ==
        require_number_format("MXFP4XFP8").quantize_input);
  for (const char* const name : {"MXFP6A16", "NVFP4A16", "W4A16", "KEEP"})
    CHECK(require_number_format(name).input_rule(Runtime::vllm) == nullptr);
}

TEST_CASE("MX scales of 0 are read as 2^-127, scales of 255 are refused") {
  for (const MxCase& c : cases) {
    INFO(c.format);
    const NumberFormat& format = require_number_format(c.format);
    std::vector<float> w(256, 1.0f);
    test::EncodedWeight encoded = test::encode_weight(format, w, 128);
    const float one = test::decode_weight(format, encoded, {2, 128})[0];
    CHECK(one == 1.0f);
    const auto byte = static_cast<int>(encoded.codes("weight_scale")[0]);
    for (std::byte& scale : encoded.bytes[1]) scale = std::byte{0};
    CHECK(test::decode_weight(format, encoded, {2, 128})[255] == std::ldexp(1.0f, -byte));
    encoded.bytes[1][5] = std::byte{255};
    const Error error = test::thrown_by([&] { test::decode_weight(format, encoded, {2, 128}); });
    CHECK(error.fault == Fault::input);
    CHECK_THAT(error.what(), Catch::Matchers::StartsWith("weight_scale: byte 5 (row 1, columns from 32) is 255"));
  }
}

TEST_CASE("MX weights decode two groups of different scales as compressed-tensors tests") {
  test::EncodedWeight encoded = test::encode_weight(require_number_format("MXFP4"), std::vector<float>(64, 0.0f), 64);
  encoded.bytes[0][0] = std::byte{0x21};   // .5, 1
  encoded.bytes[0][16] = std::byte{0x43};  // 1.5, 2
  encoded.bytes[1] = {std::byte{125}, std::byte{126}};
  const std::vector<float> decoded = test::decode_weight(require_number_format("MXFP4"), encoded, {1, 64});
  CHECK(std::vector<float>{decoded[0], decoded[1], decoded[32], decoded[33]} ==
        std::vector<float>{.125f, .25f, .75f, 1.0f});
}

TEST_CASE("MX formats say what they store, refuse and serve") {
  const Field packed = require_number_format("MXFP6A16").fields({6, 96}, Dtype::bf16, ScaleRule::minmax)[0];
  CHECK(packed.suffix == "weight_packed");
  CHECK(packed.shape == Shape{6, 72});
  CHECK(require_number_format("MXFP8").fields({6, 96}, Dtype::bf16, ScaleRule::minmax)[0].dtype == Dtype::f8_e4m3);
  CHECK(require_number_format("MXFP4").refusal({8, 48}) == "48 columns do not divide by 32");
  CHECK(require_number_format("MXFP4XFP8").refusal({8, 96}) == "96 columns do not divide by 128");
  CHECK_FALSE(require_number_format("MXFP6_E3M2").refusal({8, 96}));
  CHECK(&require_number_format("MXFP6_E2M3") == &require_number_format("MXFP6A16"));
  CHECK(&require_number_format("mxfp8_e4m3") == &require_number_format("MXFP8"));
  for (const MxCase& c : cases)
    CHECK(require_number_format(c.format).serving.any() == (std::string(c.element) != "e3m2"));
}
