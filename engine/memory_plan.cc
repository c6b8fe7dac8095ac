#include "engine/memory_plan.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/memory.h"
#include "engine/boundary.h"
#include "engine/copies.h"
#include "engine/layer_bytes.h"
#include "engine/model/layer_weights.h"
#include "engine/moments.h"

namespace strata {
namespace {

// Working memory of the matrix library in one thread, chosen so that plans meet measured peaks: docs/benchmarks.md.
constexpr std::uint64_t library_scratch = 16u << 20;

std::uint64_t float_bytes(const LinearSpec& linear) {
  return static_cast<std::uint64_t>(linear.out * linear.in) * sizeof(float);
}

// What one thread decodes at most, as float32: a Linear to measure the error of its encoding, and before that
// everything that is encoded with it, where the source is not dense.
std::uint64_t largest_decoded(const OpenModel& model, const Assignment& assignment, const Visit& visit) {
  std::uint64_t largest = 0, largest_group = 0;
  for (const auto& group : fused_groups(visit)) {
    std::uint64_t sources = 0;
    for (const LinearSpec* linear : group) {
      if (assignment.copies(*linear)) continue;
      largest = std::max(largest, float_bytes(*linear));
      if (!model.stored_linear(*linear).dense()) sources += align_up(float_bytes(*linear), render_alignment);
    }
    largest_group = std::max(largest_group, sources);
  }
  return largest + largest_group;
}

}  // namespace

std::uint64_t render_bytes(const OpenModel& model, const Assignment& assignment, const Visit& visit) {
  std::uint64_t total = 0;
  for (const LinearSpec* linear : visit.linears) {
    if (!assignment.copies(*linear)) {
      for (const TensorInfo& tensor : encoded_tensors(model, *linear, assignment))
        total += align_up(tensor.bytes, render_alignment);
      continue;
    }
    if (!assignment.copied.contains(linear->module)) continue;
    for (const CopiedTensor& copied : copied_tensors(model.stored_linear(*linear), assignment.of(*linear)))
      if (copied.field.step != CopyStep::bytes) total += align_up(copied.tensor.bytes, render_alignment);
  }
  return total;
}

std::uint64_t MemoryPlan::peak() const {
  return base + std::max(data, boundary + layer_bytes + weights + moments + forward + renders + decoded);
}

std::uint64_t forward_scratch(const ModelSpec& model, std::int64_t rows) {
  std::int64_t widest = 0;
  for (const LayerSpec& layer : model.layers) {
    const AttentionSpec& mixer = layer.mixer;
    const std::int64_t heads = mixer.q.out + mixer.k.out + mixer.v.out;
    // norm, q/k/v and their rotated copies, the mix; then norm, gate, up and the result.
    std::int64_t columns = 3 * model.hidden + 3 * heads + 2 * mixer.q.out;
    if (const MoeSpec* moe = layer.moe())
      columns = std::max(columns, 6 * model.hidden + 3 * moe->experts[0].gate.out);
    else
      columns = std::max(columns, 4 * model.hidden + 3 * std::get<GatedMlpSpec>(layer.ffn).gate.out);
    widest = std::max(widest, columns);
  }
  return static_cast<std::uint64_t>(rows * widest) * sizeof(float);
}

MemoryPlan plan_memory(const OpenModel& model, const Assignment& assignment, const MemoryQuestion& question) {
  MemoryPlan plan{.base = resident_bytes()};
  const bool forward = question.samples > 0;
  for (const Visit& visit : visits(model)) {
    plan.layer_bytes = std::max(plan.layer_bytes, LayerBytes::memory(model, visit, Borrowed::leave_out));
    plan.renders = std::max(plan.renders, render_bytes(model, assignment, visit));
    const auto threads =
        std::min(static_cast<std::size_t>(question.threads), std::max<std::size_t>(1, visit.linears.size()));
    plan.decoded = std::max(plan.decoded, threads * largest_decoded(model, assignment, visit));
    if (!forward || visit.kind != Visit::Kind::layer) continue;
    plan.weights = std::max(plan.weights, LayerWeights::memory(model, visit));
    // One set of sums for the layer, and one for each chunk under way.
    if (question.columns)
      plan.moments =
          std::max(plan.moments, static_cast<std::uint64_t>(question.threads + 1) * Moments::memory(visit.linears));
  }
  if (forward) {
    const std::int64_t rows = samples_per_chunk(question.tokens) * question.tokens;
    plan.boundary = Boundary::memory(question.samples, question.tokens, model.spec.hidden);
    const std::int64_t chunks = (question.samples * question.tokens + rows - 1) / rows;
    const auto alive = static_cast<std::uint64_t>(std::min<std::int64_t>(question.threads, chunks));
    plan.forward = alive * (forward_scratch(model.spec, rows) + library_scratch);
  }
  return plan;
}

}  // namespace strata
