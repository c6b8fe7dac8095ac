// The MX formats give the same bytes on every instruction set that this CPU has.
#include <hwy/targets.h>

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>
#include <random>

#include "formats/number_format.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"
#include "tests/support/naive_mx.h"

using namespace strata;
using Output = std::vector<std::vector<std::byte>>;

namespace {

constexpr const char* formats[] = {"MXFP4", "MXFP4XFP8", "MXFP6A8", "MXFP6_E3M2", "MXFP8"};

// What `run` gives, and how many of the instruction sets give something else.
int different_targets(const std::function<Output()>& run) {
  const Output expected = run();
  int different = 0, tried = 0;
  for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1, ++tried) {
    hwy::GetChosenTarget().Update(targets & -targets);
    different += run() != expected ? 1 : 0;
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  REQUIRE(tried > 0);
  return different;
}

void append(Output& output, const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  output.emplace_back(bytes.begin(), bytes.end());
}

Output everything(const NumberFormat& format, const std::vector<float>& w, const std::vector<float>& column_weight) {
  const auto cols = static_cast<std::int64_t>(column_weight.size());
  const std::int64_t rows = static_cast<std::int64_t>(w.size()) / cols;
  Output output;
  for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::search, ScaleRule::compressed_tensors})
    for (const std::span<const float> weights : {std::span<const float>(), std::span<const float>(column_weight)}) {
      const WeightView view{w.data(), Dtype::f32, rows, cols};
      const test::EncodedWeight encoded = test::encode_weight(format, view, {.rule = rule, .column_weight = weights});
      output.insert(output.end(), encoded.bytes.begin(), encoded.bytes.end());
      append(output, test::decode_weight(format, encoded, {rows, cols}));
    }
  for (const Runtime runtime : {Runtime::transformers, Runtime::vllm}) {
    std::vector<float> x = w;
    if (const QuantizeInput quantize = format.input_rule(runtime); quantize != nullptr) quantize(x, rows, cols, 0);
    append(output, x);
  }
  return output;
}

// A group, and column weights with which two scales of the search have the same error but for rounding.
bool make_tie(std::span<float> group, std::span<float> weight, const test::NaiveMxElement& element,
              std::mt19937& random) {
  std::normal_distribution<float> normal;
  for (float& v : group) v = normal(random);
  for (float& v : weight) v = std::ldexp(static_cast<float>(1 + random() % 65536), -16);
  const int start = naive_mx(group, element, test::NaiveMxRule::minmax).scales[0];
  const double margin = 1 - std::ldexp(1, -17);
  for (std::size_t k = 0; k < group.size(); ++k) {
    weight[k] = 0;
    const double rest = test::naive_mx_error(group, element, start, weight) * margin -
                        test::naive_mx_error(group, element, start - 1, weight);
    const auto one = group.subspan(k, 1);
    const double gain =
        test::naive_mx_error(one, element, start - 1) - test::naive_mx_error(one, element, start) * margin;
    weight[k] = static_cast<float>(rest / gain);
    if (gain != 0 && weight[k] > 0 && weight[k] < 4096) return true;
    weight[k] = 1;
  }
  return false;
}

}  // namespace

TEST_CASE("every instruction set gives the same MX bytes") {
  const std::vector<float> w = test::hostile_weights(24, 640, 41);
  std::vector<float> column_weight(640);
  for (std::size_t i = 0; i < column_weight.size(); ++i) column_weight[i] = 1.0f / static_cast<float>(1 + i % 17);
  for (const char* const name : formats) {
    INFO(name);
    CHECK(different_targets([&] { return everything(require_number_format(name), w, column_weight); }) == 0);
  }
}

TEST_CASE("every instruction set chooses alike among MX scales of nearly the same error") {
  std::mt19937 random(42);
  const test::NaiveMxElement element = test::naive_mx_element("e2m1");
  std::vector<float> w(32 * 2048), column_weight(w.size(), 1.0f);
  int ties = 0;
  for (std::size_t i = 0; i < w.size(); i += 32)
    ties += make_tie(std::span(w).subspan(i, 32), std::span(column_weight).subspan(i, 32), element, random) ? 1 : 0;
  CHECK(ties > 1000);
  CHECK(different_targets([&] { return everything(require_number_format("MXFP4"), w, column_weight); }) == 0);
}
