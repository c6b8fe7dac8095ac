// FP8 by tensor, row and block against vectors and a naive reference, and the formats that copy FP8 sources.
#include <hwy/targets.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "formats/config/config_group.h"
#include "formats/config/scheme.h"
#include "formats/kernels/arithmetic.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"
#include "tests/support/naive_fp8.h"

using namespace strata;
using Bytes = std::vector<std::uint8_t>;
using test::NaiveType;

namespace {

constexpr std::int64_t rows = 256, cols = 384;  // six blocks

const std::vector<float> worked = {1,           -.69921875f, .30078125f,   .050048828125f,
                                   -.94921875f, .6015625f,   -.330078125f, .00099945068359375f};

struct Layout {
  const char* name;
  std::int64_t high, wide;  // of a scale
};

constexpr Layout layouts[] = {{"FP8", rows, cols}, {"FP8_DYNAMIC", 1, cols}, {"FP8_BLOCK", 128, 128}};

// Hostile rows whose blocks differ: whole blocks of zeros, tiny ones and huge ones.
std::vector<float> hostile_blocks() {
  std::vector<float> w = test::hostile_weights(rows, cols, 61);
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t col = 0; col < cols; ++col) {
      float& v = w[row * cols + col];
      if (row < 128 && col < 128) v = v < 0 ? -0.0f : 0.0f;
      if (row >= 128 && col >= 256) v *= 0x1p-100f;
      if (row >= 128 && col < 128) v = std::clamp(v, -1.0f, 1.0f);
    }
  return w;
}

struct Source {
  std::vector<float> values;
  std::vector<std::uint16_t> halves;
  Dtype dtype = Dtype::f32;

  WeightView view() const {
    if (dtype == Dtype::f32) return {values.data(), dtype, rows, cols};
    return {halves.data(), dtype, rows, cols};
  }
};

Source source_of(Dtype dtype) {
  Source source{.values = hostile_blocks(), .dtype = dtype};
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

test::EncodedWeight encoded_by(const char* name, const WeightView& view, ScaleRule rule,
                               std::span<const float> column_weight = {}) {
  return test::encode_weight(
      require_number_format(name), view,
      {.rule = rule, .fused_amax = finite_amax(view, "weight"), .input_amax = 3.7f, .column_weight = column_weight});
}

std::vector<float> floats_of(const test::EncodedWeight& encoded, std::string_view suffix) {
  std::vector<float> values;
  for (std::size_t i = 0; i < encoded.fields.size(); ++i) {
    if (encoded.fields[i].suffix != suffix) continue;
    values.resize(*element_count(encoded.fields[i].shape));
    widen(encoded.fields[i].dtype, encoded.bytes[i], values);
  }
  return values;
}

void check_against_naive(const Layout& layout, const Source& source, ScaleRule rule) {
  INFO(layout.name << " from " << dtype_name(source.dtype) << ", rule " << static_cast<int>(rule));
  const bool theirs = rule == ScaleRule::compressed_tensors;
  const NaiveType own = theirs ? naive_type(source.dtype) : NaiveType::bf16;
  const test::NaiveFp8Encoding expected =
      test::naive_fp8_blocks(source.values, {.cols = cols,
                                             .high = layout.high,
                                             .wide = layout.wide,
                                             .arithmetic = theirs ? own : NaiveType::f32,
                                             .scale = own,
                                             .drops_minus_zero = theirs});
  const test::EncodedWeight ours = encoded_by(layout.name, source.view(), rule);
  CHECK((floats_of(ours, "weight_scale") == expected.scales));
  CHECK((ours.codes("weight") == expected.codes));
  CHECK((test::decode_weight(require_number_format(layout.name), ours, {rows, cols}) == expected.decoded));
}

double error_between(std::span<const float> w, std::span<const float> decoded, std::span<const float> weight,
                     const Layout& layout, std::size_t top, std::size_t left) {
  double sum = 0;
  for (std::size_t row = top; row < top + static_cast<std::size_t>(layout.high); ++row)
    for (std::size_t col = left; col < left + static_cast<std::size_t>(layout.wide); ++col) {
      const double e = static_cast<double>(w[row * cols + col]) - static_cast<double>(decoded[row * cols + col]);
      sum += e * e * (weight.empty() ? 1.0 : static_cast<double>(weight[col]));
    }
  return sum;
}

}  // namespace

TEST_CASE("FP8 formats equal the naive encoding by our rule and by that of compressed-tensors") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    const Source source = source_of(dtype);
    for (const Layout& layout : layouts)
      for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::compressed_tensors})
        check_against_naive(layout, source, rule);
  }
}

TEST_CASE("FP8 has the worked vectors in float32 and in bfloat16") {
  const WeightView wide{worked.data(), Dtype::f32, 1, 8};
  const test::EncodedWeight parity = encoded_by("FP8", wide, ScaleRule::compressed_tensors);
  CHECK(std::bit_cast<std::uint32_t>(parity.scalar("weight_scale")) == 0x3b124925u);
  CHECK(parity.codes("weight") == Bytes{0x7e, 0xfa, 0x70, 0x5b, 0xfd, 0x78, 0xf1, 0x2e});
  const std::vector<std::uint16_t> bits = test::bf16_bits(worked);
  const test::EncodedWeight half = encoded_by("FP8", {bits.data(), Dtype::bf16, 1, 8}, ScaleRule::compressed_tensors);
  CHECK(half.codes("weight_scale") == Bytes{0x12, 0x3b});
  CHECK(half.codes("weight") == Bytes{0x7e, 0xfa, 0x70, 0x5b, 0xfd, 0x78, 0xf1, 0x2e});
  const std::vector<float> other = {.8125f, -.40625f, .203125f, .1015625f};
  const test::EncodedWeight four = encoded_by("FP8", {other.data(), Dtype::f32, 1, 4}, ScaleRule::compressed_tensors);
  CHECK(std::bit_cast<std::uint32_t>(four.scalar("weight_scale")) == 0x3aedb6dbu);
  CHECK(four.codes("weight") == Bytes{0x7e, 0xf6, 0x6e, 0x66});
}

TEST_CASE("FP8 stores the scale of all Linears that are served as one matrix") {
  const NumberFormat& format = require_number_format("FP8");
  const std::vector<float> small = test::hostile_weights(4, 128, 62), large(128, 896.0f);
  const std::vector<WeightView> group = {{large.data(), Dtype::f32, 1, 128}, {worked.data(), Dtype::f32, 1, 8}};
  const EncodeContext context{.fused_amax = 896, .input_amax = 2};
  CHECK(format.shared_scale(group, context) == 2.0f);
  const test::EncodedWeight encoded = test::encode_weight(
      format, {worked.data(), Dtype::f32, 1, 8}, {.fused_amax = 896, .shared_scale = 2, .input_amax = 448 * 3});
  CHECK(floats_of(encoded, "weight_scale") == std::vector<float>{2});
  CHECK(floats_of(encoded, "input_scale") == std::vector<float>{3});
  CHECK(encoded.codes("weight") == test::naive_fp8_with(worked, 2).codes);
  CHECK(format.shared_scale(group, {.fused_amax = 0}) == std::numeric_limits<float>::epsilon());
}

TEST_CASE("the scale of FP8 is searched over the fused matrices together") {
  const NumberFormat& format = require_number_format("FP8");
  const std::vector<float> a = source_of(Dtype::f32).values;
  std::vector<float> b(a.begin() + 130 * cols, a.begin() + 140 * cols), weight(cols);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = std::sin(static_cast<float>(i)) * 0.7f;
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i % 5);
  const std::vector<WeightView> group = {{b.data(), Dtype::f32, 5, cols}, {b.data() + 5 * cols, Dtype::f32, 5, cols}};
  const EncodeContext context{.rule = ScaleRule::search, .fused_amax = amax(b), .column_weight = weight};
  const float chosen = format.shared_scale(group, context);
  const float plain = test::naive_bf16(amax(b) / 448);
  const auto error = [&](float scale) {
    const std::vector<float> decoded = test::naive_fp8_with(b, scale).decoded;
    return error_between(b, decoded, weight, {"", 10, cols}, 0, 0);
  };
  CHECK(error(chosen) < error(plain));
  CHECK(chosen == test::naive_bf16(chosen));
}

TEST_CASE("no scale of FP8 is worse after the search") {
  const Source source = source_of(Dtype::bf16);
  std::vector<float> weight(cols);
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = std::exp2(static_cast<float>(i * 7 % 23) - 11);
  for (const Layout& layout : layouts) {
    const NumberFormat& format = require_number_format(layout.name);
    const std::vector<float> before =
        test::decode_weight(format, encoded_by(layout.name, source.view(), ScaleRule::minmax), {rows, cols});
    for (const std::span<const float> used : {std::span<const float>(), std::span<const float>(weight)}) {
      const std::vector<float> after =
          test::decode_weight(format, encoded_by(layout.name, source.view(), ScaleRule::search, used), {rows, cols});
      int better = 0, worse = 0;
      for (std::size_t top = 0; top < rows; top += static_cast<std::size_t>(layout.high))
        for (std::size_t left = 0; left < cols; left += static_cast<std::size_t>(layout.wide)) {
          const double plain = error_between(source.values, before, used, layout, top, left);
          const double searched = error_between(source.values, after, used, layout, top, left);
          better += searched < plain;
          worse += searched > plain * (1 + 1e-9);
        }
      INFO(layout.name << ": " << better << " better, " << worse << " worse");
      CHECK(worse == 0);
      CHECK((better > 0 || layout.high == rows));  // one outlier decides about a whole tensor
    }
  }
}

TEST_CASE("FP8 blocks do not depend on the instruction set or the number of threads") {
  const Source source = source_of(Dtype::f16);
  for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::search, ScaleRule::compressed_tensors}) {
    const test::EncodedWeight chosen = encoded_by("FP8_BLOCK", source.view(), rule);
    const std::vector<float> decoded = test::decode_weight(require_number_format("FP8_BLOCK"), chosen, {rows, cols});
    for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
      const std::int64_t target = targets & -targets;
      INFO("instruction set " << hwy::TargetName(target));
      hwy::SetSupportedTargetsForTest(target);
      CHECK((encoded_by("FP8_BLOCK", source.view(), rule).bytes == chosen.bytes));
      CHECK((test::decode_weight(require_number_format("FP8_BLOCK"), chosen, {rows, cols}) == decoded));
      hwy::SetSupportedTargetsForTest(0);
    }
    const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
    CHECK((encoded_by("FP8_BLOCK", source.view(), rule).bytes == chosen.bytes));
  }
}

TEST_CASE("FP8 blocks refuse what loaders would take for something else") {
  const auto reason = [](const Shape& shape) { return require_number_format("FP8_BLOCK").refusal(shape).value_or(""); };
  CHECK(reason({256, 256}).empty());
  CHECK(reason({128, 256}).empty());
  CHECK(reason({200, 256}) == "200 rows do not divide by 128");
  CHECK(reason({256, 200}) == "200 columns do not divide by 128");
  CHECK(reason({256, 128}) == "128 columns are a single block, blocks need two");
  CHECK(reason({256}) == "shape [256] is not a matrix");
  CHECK(require_number_format("FP8_SOURCE").refusal({200, 256}).has_value());
  CHECK(!require_number_format("FP8_SOURCE_STATIC").refusal({3, 7}).has_value());
}

TEST_CASE("formats of FP8 sources decode what is stored and make nothing") {
  const Source source = source_of(Dtype::bf16);
  const std::pair<const char*, const char*> pairs[] = {
      {"FP8_SOURCE", "FP8_BLOCK"}, {"FP8_SOURCE_STATIC", "FP8"}, {"FP8_SOURCE_STATIC_CHANNEL", "FP8_DYNAMIC"}};
  for (const auto& [copied, made] : pairs) {
    INFO(copied);
    const NumberFormat& format = require_number_format(copied);
    CHECK(format.source_only);
    CHECK_THROWS_AS(encoded_by(copied, source.view(), ScaleRule::minmax), Error);
    const test::EncodedWeight half = encoded_by(made, source.view(), ScaleRule::minmax);
    const std::vector<float> expected = test::decode_weight(require_number_format(made), half, {rows, cols});
    CHECK((test::decode_weight(format, half, {rows, cols}) == expected));
    test::EncodedWeight wide = half;
    const std::vector<float> scales = floats_of(half, "weight_scale");
    wide.fields[1].dtype = Dtype::f32;
    wide.bytes[1].resize(scales.size() * 4);
    std::memcpy(wide.bytes[1].data(), scales.data(), wide.bytes[1].size());
    CHECK((test::decode_weight(format, wide, {rows, cols}) == expected));
    const std::vector<Field> fields = format.fields({rows, cols}, Dtype::bf16, ScaleRule::minmax);
    for (const Field& field : fields) CHECK(field.dtype == (field.suffix == "weight" ? Dtype::f8_e4m3 : Dtype::f32));
    CHECK(fields[1].shape == half.fields[1].shape);
  }
  CHECK(require_number_format("FP8_SOURCE_STATIC").fields({2, 2}, Dtype::bf16, ScaleRule::minmax)[2].suffix ==
        "input_scale");
}

TEST_CASE("a config group that a made and a copied format share is read as the made one") {
  for (const char* const name : {"FP8", "FP8_BLOCK", "FP8_DYNAMIC"}) {
    const NumberFormat& format = require_number_format(name);
    CHECK(number_format_of(parse_scheme(Config::parse(config_group(format.scheme).dump(), name))) == &format);
  }
}

TEST_CASE("FP8 inputs are quantized by token, by 128 columns and by a calibrated scale") {
  std::vector<float> x = test::hostile_weights(20, cols, 63);
  const auto quantized = [&](const char* name, float scale) {
    std::vector<float> y = x;
    require_number_format(name).quantize_input(y, 20, cols, scale);
    return y;
  };
  const auto same_bits = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
  };
  CHECK(same_bits(quantized("FP8_DYNAMIC", 0), test::naive_fp8_input(x, cols)));
  std::vector<float> of_vllm = x;
  for (std::size_t i = 0; i < of_vllm.size() / 4; ++i) of_vllm[i] *= 1e-4f;  // rows below vLLM's least scale
  const std::vector<float> expected_of_vllm = test::naive_fp8_input(of_vllm, cols, 1.0f / 229376);
  CHECK_FALSE(same_bits(expected_of_vllm, test::naive_fp8_input(of_vllm, cols)));
  require_number_format("FP8_DYNAMIC").input_rule(Runtime::vllm)(of_vllm, 20, cols, 0);
  CHECK(same_bits(of_vllm, expected_of_vllm));
  CHECK(same_bits(quantized("FP8_BLOCK", 0), test::naive_fp8_input(x, 128)));
  CHECK(same_bits(quantized("FP8_SOURCE", 0), test::naive_fp8_input(x, 128)));
  std::vector<float> positive_zeros = x;
  for (float& v : positive_zeros) v = v == 0 ? 0.0f : v;
  for (const float scale : {0.01f, 3.0f})
    for (const char* const name : {"FP8", "FP8_SOURCE_STATIC", "FP8_SOURCE_STATIC_CHANNEL"}) {
      std::vector<float> expected;
      for (const float v : positive_zeros) {
        const float quotient = v / scale;
        expected.push_back(test::naive_e4m3_value(test::naive_e4m3(quotient == 0 ? 0.0f : quotient)) * scale);
      }
      CHECK(same_bits(quantized(name, scale), expected));
    }
  CHECK_THROWS_AS(quantized("FP8", 0), Error);
}
