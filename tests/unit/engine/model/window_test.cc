// The sliding window over several blocks of queries, against attention in plain loops.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "engine/model/attention.h"
#include "engine/model/rope.h"
#include "engine/plan/open_model.h"
#include "profiles/layer_questions.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/whole_visit.h"

using namespace strata;

namespace {

// out [tokens, heads * d] in double, from rotated q [heads, tokens, d] and k, v [kv_heads, tokens, d].
std::vector<double> naive(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const std::int64_t heads = q.size(0), tokens = q.size(1), d = q.size(2), share = heads / k.size(0);
  const auto at3 = [&](const at::Tensor& x, std::int64_t h, std::int64_t t, std::int64_t i) {
    return static_cast<double>(x.const_data_ptr<float>()[(h * tokens + t) * d + i]);
  };
  std::vector<double> out(static_cast<std::size_t>(tokens * heads * d), 0.0);
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::vector<double> score;
      double sum = 0;
      const std::int64_t first = std::max<std::int64_t>(0, t - window + 1);
      for (std::int64_t s = first; s <= t; ++s) {
        double dot = 0;
        for (std::int64_t i = 0; i < d; ++i) dot += at3(q, h, t, i) * at3(k, h / share, s, i);
        score.push_back(std::exp(dot / std::sqrt(static_cast<double>(d))));
        sum += score.back();
      }
      for (std::int64_t s = first; s <= t; ++s)
        for (std::int64_t i = 0; i < d; ++i)
          out[static_cast<std::size_t>((t * heads + h) * d + i)] +=
              score[static_cast<std::size_t>(s - first)] / sum * at3(v, h / share, s, i);
    }
  return out;
}

}  // namespace

TEST_CASE("a sliding window over several query blocks equals plain loops") {
  for (const std::int64_t window : {1, 70, 300, 599}) {
    const test::TemporaryFolder folder;
    test::write_tiny_llama(folder.file("model"), {.window = window});
    const OpenModel model = open_model(folder.file("model"));
    const Visit visit = model.visits[1];
    Budget memory("memory", 1u << 30);
    LayerBytes bytes(memory);
    const Part part = test::whole_visit(model, visit);
    bytes.load(model, part, *make_reader(IoMethod::pread));
    LayerWeights weights(memory);
    weights.load(model, part, bytes, DecodeAs::f32);
    LinearSite site(weights, ActivationMode::none);

    constexpr std::int64_t tokens = 600;
    std::mt19937 generator(3);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<std::size_t>(tokens * 128));
    for (float& value : values) value = normal(generator);
    const at::Tensor x = at::from_blob(values.data(), {1, tokens, 128}, at::kFloat);

    const AttentionSpec& spec = *attention_of(*visit.layer);
    const auto heads = [&](const LinearSpec& linear, int count) {
      return site(linear, x).view({1, tokens, count, spec.head_dim}).transpose(1, 2);
    };
    const at::Tensor q = rotate(heads(spec.q, spec.heads), spec.rope)[0].contiguous();
    const at::Tensor k = rotate(heads(spec.k, spec.kv_heads), spec.rope)[0].contiguous();
    const at::Tensor v = heads(spec.v, spec.kv_heads)[0].contiguous();
    const std::vector<double> mixed = naive(q, k, v, window);
    std::vector<float> mixed_float(mixed.begin(), mixed.end());
    const at::Tensor expected = site(spec.o, at::from_blob(mixed_float.data(), {1, tokens, 128}, at::kFloat));

    const at::Tensor got = attention(spec, weights, site, x).contiguous();
    float worst = 0, largest = 0;
    for (std::int64_t i = 0; i < got.numel(); ++i) {
      worst = std::max(worst, std::abs(got.const_data_ptr<float>()[i] - expected.const_data_ptr<float>()[i]));
      largest = std::max(largest, std::abs(expected.const_data_ptr<float>()[i]));
    }
    INFO("window " << window);
    CHECK(worst <= 2e-5f * largest);
  }
}
