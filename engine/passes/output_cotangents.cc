#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/output_cotangents.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "engine/model/pull_back.h"
#include "engine/sweep/pass.h"

namespace strata {
namespace {

// Steele, Lea, Flood 2014 (SplitMix64): every number of a sequence by its place.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// +1 or -1 for each entry of the vocabulary.
void draw_signs(std::uint64_t probe, std::uint64_t position, std::span<float> out) {
  const std::uint64_t start = mix(mix(probe) ^ position);
  for (std::size_t word = 0; word * 64 < out.size(); ++word) {
    std::uint64_t bits = mix(start + word);
    const std::size_t end = std::min(out.size(), (word + 1) * 64);
    for (std::size_t i = word * 64; i < end; ++i, bits >>= 1) out[i] = (bits & 1) != 0 ? 1.0f : -1.0f;
  }
}

at::Tensor signs(int probe, std::int64_t first, std::int64_t rows, std::int64_t vocabulary) {
  at::Tensor z = at::empty({rows, vocabulary}, at::kFloat);
  auto* const values = z.mutable_data_ptr<float>();
  for (std::int64_t row = 0; row < rows; ++row)
    draw_signs(static_cast<std::uint64_t>(probe), static_cast<std::uint64_t>(first + row),
               {values + row * vocabulary, static_cast<std::size_t>(vocabulary)});
  return z;
}

}  // namespace

std::vector<at::Tensor> OutputCotangents::of(const ModelSpec& model, const at::Tensor& x, std::int64_t first,
                                             int probes, const See& see) const {
  const at::Tensor weight = head_.weight(model);
  const std::optional<at::Tensor> bias = head_.bias();
  std::vector<at::Tensor> gradients;
  gradients.reserve(static_cast<std::size_t>(probes));
  for (int k = 0; k < probes; ++k) gradients.push_back(at::empty(x.sizes(), at::kFloat));
  for (std::int64_t row = 0; row < x.size(0); row += most_rows) {
    const std::int64_t rows = std::min(most_rows, x.size(0) - row);
    const at::Tensor here = x.narrow(0, row, rows);
    std::vector<at::Tensor> above;
    {
      const c10::AutoGradMode no_gradients(false);
      at::Tensor logits = at::linear(head_.input(model, here), weight, bias);
      const at::Tensor p = logits.softmax(-1);
      see(first + row, logits, p);
      logits.reset();
      const at::Tensor root = p.sqrt();
      for (int k = 0; k < probes; ++k) {
        at::Tensor g = signs(k, first + row, rows, p.size(-1)).mul_(root);
        g.sub_(p * g.sum(-1, /*keepdim=*/true));
        above.push_back(g.matmul(weight));
      }
    }
    const std::vector<at::Tensor> found =
        pull_back(here.clone(), above, [&](const at::Tensor& leaf) { return head_.input(model, leaf); });
    const c10::AutoGradMode no_gradients(false);
    for (int k = 0; k < probes; ++k)
      gradients[static_cast<std::size_t>(k)].narrow(0, row, rows).copy_(found[static_cast<std::size_t>(k)]);
  }
  return gradients;
}

void OutputCotangents::add_cost(const CostQuestion& question, const MovingStates& cotangents, CostSheet& sheet) {
  const ModelSpec& model = *question.pass.model.spec;
  const auto vocabulary = static_cast<std::uint64_t>(model.head.out);
  sheet.add(Resource::host, "weights", vocabulary * static_cast<std::uint64_t>(model.hidden) * sizeof(float));
  // Logits, probabilities, their roots, signs and what comes of them.
  sheet.add(Resource::host, "logits",
            question.blocks_alive(cotangents) * 6 * static_cast<std::uint64_t>(most_rows) * vocabulary * sizeof(float));
}

}  // namespace strata
