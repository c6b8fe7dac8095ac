// The integer formats against vectors, and against a naive reference in every rule of scales but the search.
#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>

#include "base/error.h"
#include "formats/kernels/arithmetic.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"
#include "tests/support/naive_int.h"

using namespace strata;
using test::NaiveType;
using Words = std::vector<std::uint32_t>;

namespace {

struct Layout {
  const char* name;
  int bits;
  std::int64_t group;  // 0: a row
  bool zero_point;
};

constexpr Layout layouts[] = {
    {"W4A16", 4, 128, false},     {"W4A16_G64", 4, 64, false},     {"W4A16_G32", 4, 32, false},
    {"W4A16_ASYM", 4, 128, true}, {"W4A16_G64_ASYM", 4, 64, true}, {"W4A16_G32_ASYM", 4, 32, true},
    {"W8A16", 8, 128, false},     {"W8A16_CHANNEL", 8, 0, false},  {"INT8", 8, 0, false},
};

// A weight in one of the three types, and its values.
struct Source {
  std::vector<float> values;
  std::vector<std::uint16_t> halves;
  Dtype dtype = Dtype::f32;
  std::int64_t cols = 0;

  WeightView view() const {
    const auto rows = static_cast<std::int64_t>(values.size()) / cols;
    if (dtype == Dtype::f32) return {values.data(), dtype, rows, cols};
    return {halves.data(), dtype, rows, cols};
  }
};

Source source_of(std::vector<float> values, std::int64_t cols, Dtype dtype) {
  Source source{.values = std::move(values), .dtype = dtype, .cols = cols};
  for (float& v : source.values) {
    if (dtype == Dtype::f16) v = test::naive_f16(std::clamp(v, -65504.0f, 65504.0f));
    if (dtype == Dtype::f16) source.halves.push_back(to_f16_bits(v));
  }
  if (dtype != Dtype::bf16) return source;
  source.halves = test::bf16_bits(source.values);
  round_to_bf16(source.values);
  return source;
}

NaiveType naive_type(Dtype dtype) {
  return dtype == Dtype::bf16 ? NaiveType::bf16 : dtype == Dtype::f16 ? NaiveType::f16 : NaiveType::f32;
}

Words words_of(const std::vector<std::byte>& bytes) {
  Words words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

std::vector<float> scales_of(const test::EncodedWeight& encoded) {
  std::vector<float> scales;
  for (std::size_t i = 0; i < encoded.fields.size(); ++i) {
    if (encoded.fields[i].suffix != "weight_scale") continue;
    scales.resize(*element_count(encoded.fields[i].shape));
    widen(encoded.fields[i].dtype, encoded.bytes[i], scales);
  }
  return scales;
}

// Zero points by column of groups, as they are packed along the rows.
std::vector<int> transposed(const std::vector<int>& zeros, std::size_t groups) {
  std::vector<int> turned;
  for (std::size_t g = 0; g < groups; ++g)
    for (std::size_t i = g; i < zeros.size(); i += groups) turned.push_back(zeros[i]);
  return turned;
}

void check_codes(const test::EncodedWeight& ours, const test::NaiveIntEncoding& expected, const Layout& layout,
                 std::int64_t cols) {
  if (std::string_view(layout.name) == "INT8") {
    std::vector<std::uint8_t> codes;
    for (const int code : expected.codes) codes.push_back(static_cast<std::uint8_t>(code));
    CHECK((ours.codes("weight") == codes));
    return;
  }
  CHECK((words_of(ours.at("weight_packed")) == test::naive_packed(expected.codes, cols, layout.bits)));
  if (!layout.zero_point) return;
  const std::size_t groups = static_cast<std::size_t>(cols / layout.group), rows = expected.zeros.size() / groups;
  const Words by_column = test::naive_packed(transposed(expected.zeros, groups), static_cast<std::int64_t>(rows), 4);
  Words by_row;
  for (std::size_t word = 0; word < (rows + 7) / 8; ++word)
    for (std::size_t g = 0; g < groups; ++g) by_row.push_back(by_column[g * ((rows + 7) / 8) + word]);
  CHECK((words_of(ours.at("weight_zero_point")) == by_row));
}

// A range beyond float16 gives an infinite scale, in compressed-tensors too: its zeros decode to NaN.
bool same_values(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) { return x == y || (x != x && y != y); });
}

void check_against_naive(const Layout& layout, const Source& source, ScaleRule rule) {
  const NumberFormat& format = require_number_format(layout.name);
  const bool theirs = rule == ScaleRule::compressed_tensors;
  const test::NaiveInt naive{.bits = layout.bits,
                             .cols = source.cols,
                             .group = layout.group > 0 ? layout.group : source.cols,
                             .zero_point = layout.zero_point,
                             .arithmetic = theirs ? naive_type(source.dtype) : NaiveType::f32,
                             .scale = theirs ? naive_type(source.dtype) : NaiveType::bf16};
  const test::NaiveIntEncoding expected = test::naive_int(source.values, naive);
  const test::EncodedWeight ours = test::encode_weight(format, source.view(), {.rule = rule});
  INFO(layout.name << " from " << dtype_name(source.dtype) << ", rule " << static_cast<int>(rule));
  CHECK((scales_of(ours) == expected.scales));
  check_codes(ours, expected, layout, source.cols);
  const WeightView view = source.view();
  CHECK(same_values(test::decode_weight(format, ours, {view.rows, view.cols}), expected.decoded));
}

std::vector<float> padded(std::vector<float> values, std::size_t size) {
  values.resize(size);
  return values;
}

test::EncodedWeight encoded_row(const char* format, const std::vector<float>& w, Dtype dtype = Dtype::f32,
                                ScaleRule rule = ScaleRule::minmax) {
  const Source source = source_of(w, static_cast<std::int64_t>(w.size()), dtype);
  return test::encode_weight(require_number_format(format), source.view(), {.rule = rule});
}

const std::vector<float> worked = {1,           -.69921875f, .30078125f,   .050048828125f,
                                   -.94921875f, .6015625f,   -.330078125f, .80078125f};

}  // namespace

TEST_CASE("integer formats equal the naive encoding by our rule and by that of compressed-tensors") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16})
    for (const Layout& layout : layouts)
      for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::compressed_tensors})
        check_against_naive(layout, source_of(test::hostile_weights(30, 384, 41), 384, dtype), rule);
}

TEST_CASE("integers by row take any number of columns, packed rows end with a word") {
  for (const std::int64_t cols : {1, 3, 15, 17, 33, 131, 333}) {
    const std::vector<float> all = test::hostile_weights(11, 384, 42);
    const Source source = source_of({all.begin(), all.begin() + 11 * cols}, cols, Dtype::bf16);
    for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::compressed_tensors}) {
      check_against_naive(layouts[7], source, rule);
      check_against_naive(layouts[8], source, rule);
    }
    CHECK(require_number_format("W8A16_CHANNEL").fields({11, cols}, Dtype::bf16, ScaleRule::minmax)[0].shape ==
          Shape{11, (cols + 3) / 4});
  }
}

TEST_CASE("integers pack as the format's definition has it") {
  // Scale 1: the largest magnitude is 7.5, and 127.5.
  std::vector<float> w4 = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
  for (float& v : w4) v = v == -8 ? -7.5f : v;
  CHECK(words_of(encoded_row("W4A16_G32", padded(w4, 32)).at("weight_packed")) ==
        Words{0x76543210u, 0xfedcba98u, 0x88888888u, 0x88888888u});
  const std::vector<float> w8 = {-127.5f, -1, 0, 127, 1, 2, 3, 4};
  CHECK(words_of(encoded_row("W8A16", padded(w8, 128)).at("weight_packed"))[0] == 0xff807f00u);
  CHECK(words_of(encoded_row("W8A16", padded(w8, 128)).at("weight_packed"))[1] == 0x84838281u);
  CHECK(encoded_row("INT8", w8).codes("weight") ==
        std::vector<std::uint8_t>{0x80, 0xff, 0x00, 0x7f, 0x01, 0x02, 0x03, 0x04});
}

TEST_CASE("zero points pack eight rows to a word") {
  // Rows whose least value is (-8 - z) and whose range is 15: scale 1, zero point z.
  const int zeros[] = {-8, -7, 0, 1, 7, 3, -1, 2, 5};
  std::vector<float> w;
  for (const int z : zeros) {
    std::vector<float> row(32, 0.0f);
    row[3] = static_cast<float>(-8 - z);
    row[9] = static_cast<float>(7 - z);
    w.insert(w.end(), row.begin(), row.end());
  }
  const test::EncodedWeight encoded =
      test::encode_weight(require_number_format("W4A16_G32_ASYM"), {w.data(), Dtype::f32, 9, 32}, {});
  CHECK(words_of(encoded.at("weight_zero_point")) == Words{0xa7bf9810u, 0x0000000du});
  CHECK((test::decode_weight(require_number_format("W4A16_G32_ASYM"), encoded, {9, 32}) == w));
}

TEST_CASE("int4 has the worked vectors in float32 and in bfloat16") {
  const auto parity = ScaleRule::compressed_tensors;
  const test::EncodedWeight wide = encoded_row("W4A16_G32", padded(worked, 32), Dtype::f32, parity);
  CHECK(std::bit_cast<std::uint32_t>(wide.scalar("weight_scale")) == 0x3e088889u);
  CHECK(words_of(wide.at("weight_packed"))[0] == 0xe6d18a3fu);
  const test::EncodedWeight half = encoded_row("W4A16_G32", padded(worked, 32), Dtype::bf16, parity);
  CHECK(half.codes("weight_scale") == std::vector<std::uint8_t>{0x09, 0x3e});
  CHECK(words_of(half.at("weight_packed"))[0] == 0xe6c18a3fu);
  const test::EncodedWeight asym = encoded_row("W4A16_G32_ASYM", padded(worked, 32), Dtype::f32, parity);
  CHECK(scales_of(asym)[0] == (1 + .94921875f) / 15.0f);
  CHECK(words_of(asym.at("weight_packed"))[0] == 0xd4c0792fu);
  CHECK(words_of(asym.at("weight_zero_point")) == Words{7});
  CHECK(scales_of(encoded_row("W4A16_G32_ASYM", padded(worked, 32)))[0] == .1298828125f);
  const std::vector<float> ties = {.9375f, -.46875f, .0625f, .1875f, -.9375f, .3125f, -.125f, .75f};
  CHECK(words_of(encoded_row("W4A16_G32", padded(ties, 32)).at("weight_packed"))[0] == 0xe7a0a84fu);
}

TEST_CASE("int8 has the worked vectors in float32 and in bfloat16") {
  const std::vector<float> w = {1, -1, .5f, -.25f};
  const auto parity = ScaleRule::compressed_tensors;
  CHECK(encoded_row("INT8", w, Dtype::f32, parity).codes("weight") == std::vector<std::uint8_t>{127, 129, 64, 224});
  CHECK(words_of(encoded_row("W8A16_CHANNEL", w, Dtype::f32, parity).at("weight_packed")) == Words{0x60c001ffu});
  // 1 / 127.5 lies just above the middle of 1/128 and its successor in bfloat16.
  CHECK(scales_of(encoded_row("INT8", w, Dtype::bf16, parity)) == std::vector<float>{129.0f / 16384});
  CHECK(encoded_row("INT8", w, Dtype::bf16, parity).codes("weight") == std::vector<std::uint8_t>{127, 129, 64, 224});
}

TEST_CASE("INT8 quantizes the inputs of each token as the naive reference does") {
  for (const std::int64_t cols : {1, 7, 16, 33, 384}) {
    const std::vector<float> all = test::hostile_weights(20, 384, 43);
    const std::vector<float> x(all.begin(), all.begin() + 20 * cols);
    for (const auto& [runtime, steps] : {std::pair(Runtime::transformers, 127.5f), std::pair(Runtime::vllm, 127.0f)}) {
      std::vector<float> y = x;
      const std::vector<float> expected = test::naive_int8_input(x, cols, steps);
      require_number_format("INT8").input_rule(runtime)(y, 20, cols, 0);
      CHECK(std::memcmp(y.data(), expected.data(), y.size() * 4) == 0);
    }
  }
}

TEST_CASE("integer formats have the dtype of the weight in their scales only for parity") {
  for (const Layout& layout : layouts)
    for (const Dtype dtype : {Dtype::bf16, Dtype::f16, Dtype::f32}) {
      const NumberFormat& format = require_number_format(layout.name);
      CHECK(format.fields({16, 256}, dtype, ScaleRule::minmax)[1].dtype == Dtype::bf16);
      CHECK(format.fields({16, 256}, dtype, ScaleRule::search)[1].dtype == Dtype::bf16);
      CHECK(format.fields({16, 256}, dtype, ScaleRule::compressed_tensors)[1].dtype == dtype);
    }
  CHECK(find_number_format("INT4_W4A16_g128") == &require_number_format("W4A16"));
  CHECK(find_number_format("int8_w8a16") == &require_number_format("W8A16"));
}

TEST_CASE("the float16 scalar rounds as its definition has it") {
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 65521) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    const float ours = rounded(x, Arithmetic::f16), expected = test::naive_f16(x);
    const bool same = std::bit_cast<std::uint32_t>(ours) == std::bit_cast<std::uint32_t>(expected) ||
                      (ours != ours && expected != expected);
    if (!same) FAIL("float bits " << bits << " give " << ours << ", expected " << expected);
  }
}
