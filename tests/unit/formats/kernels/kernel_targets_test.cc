// Encoded bytes, decoded weights and quantized inputs of every number format are the same whatever the
// instruction set and the number of threads.
#include <hwy/targets.h>
#include <tbb/global_control.h>

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <vector>

#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"

using namespace strata;

namespace {

constexpr std::int64_t rows = 139, cols = 256;  // more rows than a 128x128 block has
constexpr ScaleRule rules[] = {ScaleRule::minmax, ScaleRule::search, ScaleRule::compressed_tensors};

// Highway's choice is one for the process: it is given back even when a check throws.
class ForcedTarget {
 public:
  explicit ForcedTarget(std::int64_t target) { hwy::SetSupportedTargetsForTest(target); }
  ~ForcedTarget() { hwy::SetSupportedTargetsForTest(0); }
  ForcedTarget(const ForcedTarget&) = delete;
  ForcedTarget& operator=(const ForcedTarget&) = delete;
};

std::vector<std::int64_t> supported_targets() {
  std::vector<std::int64_t> all;
  for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1)
    all.push_back(targets & -targets);
  return all;
}

// A hostile weight in one of the three source types.
struct Source {
  std::vector<float> values;
  std::vector<std::uint16_t> halves;
  std::vector<float> column_weight;
  Dtype dtype = Dtype::f32;

  WeightView view() const {
    if (dtype == Dtype::f32) return {values.data(), dtype, rows, cols};
    return {halves.data(), dtype, rows, cols};
  }
};

// Magnitudes that float16 holds too, and its subnormals.
std::uint16_t f16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto exponent = static_cast<int>(bits >> 23 & 255) - 112;
  const std::uint32_t sign = bits >> 16 & 0x8000u, mantissa = bits >> 13 & 1023u;
  if (exponent <= 0) return static_cast<std::uint16_t>(sign | mantissa >> 3);
  return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(exponent < 30 ? exponent : 30) << 10 | mantissa);
}

Source source_of(Dtype dtype) {
  Source source{.values = test::hostile_weights(rows, cols, 21), .dtype = dtype};
  if (dtype == Dtype::bf16) source.halves = test::bf16_bits(source.values);
  if (dtype == Dtype::f16)
    for (const float v : source.values) source.halves.push_back(f16_bits(v));
  for (std::int64_t i = 0; i < cols; ++i) source.column_weight.push_back(0.01f + static_cast<float>(i % 7));
  return source;
}

struct Results {
  std::vector<std::vector<std::byte>> stored;
  std::vector<float> decoded, inputs;

  bool operator==(const Results& other) const {
    return stored == other.stored && same_bits(decoded, other.decoded) && same_bits(inputs, other.inputs);
  }
  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
};

Results results_of(const NumberFormat& format, const Source& source, ScaleRule rule, bool weighted) {
  const WeightView view = source.view();
  EncodeContext context{.rule = rule, .fused_amax = finite_amax(view, "weight"), .input_amax = 3};
  if (weighted) context.column_weight = source.column_weight;
  const test::EncodedWeight encoded = test::encode_weight(format, view, context);
  Results results{.stored = encoded.bytes, .decoded = test::decode_weight(format, encoded, {rows, cols})};
  for (const Runtime runtime : {Runtime::transformers, Runtime::vllm})
    if (const QuantizeInput quantize = format.input_rule(runtime); quantize != nullptr) {
      std::vector<float> x = source.values;
      quantize(x, rows, cols, format.input_scale_suffix.empty() ? 0.0f : 0.37f);
      results.inputs.insert(results.inputs.end(), x.begin(), x.end());
    }
  return results;
}

// Calls body(format, source, rule, weighted) for all that can be encoded.
template <typename Body>
void for_each_encoding(const Body& body) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    const Source source = source_of(dtype);
    for (const NumberFormat* const format : number_formats()) {
      if (format->source_only || format->refusal({rows, cols})) continue;
      for (const ScaleRule rule : rules) {
        if (rule == ScaleRule::search && dtype != Dtype::f32) continue;  // slow, and sees float32 from all
        INFO(format->name << " from " << dtype_name(dtype) << ", rule " << static_cast<int>(rule));
        body(*format, source, rule, false);
        if (rule == ScaleRule::search) body(*format, source, rule, true);
      }
    }
  }
}

}  // namespace

TEST_CASE("every instruction set gives the same bytes in every number format") {
  const std::vector<std::int64_t> targets = supported_targets();
  REQUIRE(!targets.empty());
  for_each_encoding([&](const NumberFormat& format, const Source& source, ScaleRule rule, bool weighted) {
    const Results chosen = results_of(format, source, rule, weighted);
    for (const std::int64_t target : targets) {
      INFO("instruction set " << hwy::TargetName(target));
      const ForcedTarget forced(target);
      CHECK((results_of(format, source, rule, weighted) == chosen));
    }
  });
  CHECK(supported_targets() == targets);
}

TEST_CASE("one thread and many give the same bytes in every number format and rule") {
  for_each_encoding([](const NumberFormat& format, const Source& source, ScaleRule rule, bool weighted) {
    const Results many = results_of(format, source, rule, weighted);
    const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
    CHECK((results_of(format, source, rule, weighted) == many));
  });
}
