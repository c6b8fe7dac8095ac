#include "engine/sweep/memory_plan.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "cache/codec_choice.h"
#include "engine/model/layer_weights.h"
#include "engine/output/sink.h"
#include "engine/plan/copies.h"
#include "engine/source/layer_bytes.h"
#include "engine/sweep/boundary.h"
#include "engine/sweep/boundary_keeper.h"
#include "engine/sweep/moments.h"
#include "formats/tokenizer/tokenizer.h"

namespace strata {
namespace {

// Chosen so that plans meet measured peaks: docs/benchmarks.md.
constexpr std::uint64_t library_scratch = 8u << 20;  // working memory of the matrix library in one thread
constexpr std::uint64_t late_base = 16u << 20;       // code that is loaded when it first runs, stacks, names

// What the largest part of a run needs, for one way of cutting.
struct PartSizes {
  std::uint64_t source = 0, weights = 0, renders = 0, decoded = 0, moments = 0;
  bool sums = false;  // the experts of a layer come in more than one part

  void cover(const PartSizes& other) {
    source = std::max(source, other.source);
    weights = std::max(weights, other.weights);
    renders = std::max(renders, other.renders);
    decoded = std::max(decoded, other.decoded);
    moments = std::max(moments, other.moments);
    sums = sums || other.sums;
  }
};

std::uint64_t float_bytes(const LinearSpec& linear) {
  return static_cast<std::uint64_t>(linear.out * linear.in) * sizeof(float);
}

// What one thread decodes at most, as float32: a Linear to measure the error of its encoding, and before that
// everything that is encoded with it, where the source is not dense.
std::uint64_t largest_decoded(const OpenModel& model, const Assignment& assignment,
                              std::span<const LinearSpec* const> linears) {
  std::uint64_t largest = 0, largest_group = 0;
  for (const auto& group : fused_groups(linears)) {
    std::uint64_t sources = 0;
    for (const LinearSpec* linear : group) {
      if (assignment.copies(*linear)) continue;
      largest = std::max(largest, float_bytes(*linear));
      if (!model.linear(*linear).stored.dense()) sources += align_up(float_bytes(*linear), render_alignment);
    }
    largest_group = std::max(largest_group, sources);
  }
  return largest + largest_group;
}

PartSizes sizes_of(const OpenModel& model, const Assignment& assignment, const Part& part) {
  PartSizes sizes{.source = LayerBytes::memory(part),
                  .weights = LayerWeights::memory(model, part),
                  .renders = render_bytes(model, assignment, part.linears),
                  .decoded = largest_decoded(model, assignment, part.linears),
                  .moments = Moments::memory(part.linears)};
  sizes.sums = part.kind == Part::Kind::experts && part.first_expert > 0;
  return sizes;
}

// Bytes of temporaries while `rows` tokens go through the widest layer.
std::uint64_t forward_scratch(const ModelSpec& model, std::int64_t rows) {
  std::int64_t widest = 0;
  for (const LayerSpec& layer : model.layers) {
    const AttentionSpec& mixer = layer.mixer;
    // What enters and its norm; q, k and v; q and k rotated; k and v of every head, the mix. A block of memory is up to
    // an eighth larger than the tensor in it.
    std::int64_t columns =
        2 * model.hidden + (mixer.q.out + mixer.k.out + mixer.v.out) + (mixer.q.out + mixer.k.out) + 3 * mixer.q.out;
    columns += columns / 8;
    // Norm, gate, up and the result.
    if (const MoeSpec* moe = layer.moe())
      columns = std::max(columns, 8 * model.hidden + 3 * moe->experts[0].gate.out);
    else
      columns = std::max(columns, 5 * model.hidden + 3 * std::get<GatedMlpSpec>(layer.ffn).gate.out);
    widest = std::max(widest, columns);
  }
  return static_cast<std::uint64_t>(rows * widest) * sizeof(float);
}

// Where the experts send each token: ids and weights.
std::uint64_t route_bytes(const ModelSpec& model, std::int64_t tokens) {
  int most = 0;
  for (const LayerSpec& layer : model.layers)
    if (const MoeSpec* moe = layer.moe()) most = std::max(most, moe->top_k);
  return static_cast<std::uint64_t>(tokens * most) * (sizeof(std::int32_t) + sizeof(float));
}

// The forward's share of the plan.
void add_forward(const OpenModel& model, const MemoryQuestion& question, const Cut& cut, const PartSizes& sizes,
                 MemoryPlan& plan) {
  const BoundaryShape shape = boundary_shape(question.samples, question.tokens, model.spec->hidden);
  const std::int64_t positions = question.samples * question.tokens;
  const auto alive = static_cast<std::uint64_t>(std::min<std::int64_t>(cut.threads, shape.blocks()));
  plan.boundary = static_cast<std::uint64_t>(positions) * sizeof(TokenId) + route_bytes(*model.spec, positions);
  if (cut.in_memory) plan.boundary += float_bytes(shape) * (sizes.sums ? 2 : 1);
  plan.weights = sizes.weights;
  // One set of sums for the layer, and one for each block under way.
  if (question.columns) plan.moments = (alive + 1) * sizes.moments;
  plan.forward = alive * (forward_scratch(*model.spec, shape.samples_per_block * question.tokens) +
                          (cut.in_memory ? 0 : 2 * block_float_bytes(shape)));
  plan.forward = std::max(plan.forward, codec_choice_memory);  // between two layers
  plan.libraries += alive * library_scratch;
  plan.files += EncodedBlocks::memory(shape, cut.threads);
}

MemoryPlan plan_for(const OpenModel& model, const MemoryQuestion& question, const Cut& cut, const PartSizes& sizes) {
  MemoryPlan plan{.base = question.base + late_base,
                  .data = question.data,
                  .source = static_cast<std::uint64_t>(cut.slots) * sizes.source,
                  .renders = static_cast<std::uint64_t>(cut.renders) * sizes.renders,
                  .decoded = static_cast<std::uint64_t>(cut.threads) * sizes.decoded,
                  .files = ShardSink::memory_bytes,
                  .libraries = reader_memory};
  if (question.samples > 0) add_forward(model, question, cut, sizes, plan);
  return plan;
}

// From the fastest to the smallest: small groups of experts cost little, the scratch file some reading and writing,
// fewer threads most.
std::vector<Cut> cuts(const MemoryQuestion& question) {
  std::vector<Cut> all;
  for (int threads = question.threads;; threads /= 2) {
    for (const bool in_memory : {true, false}) {
      if (!in_memory && question.samples == 0) continue;
      for (const std::uint64_t group : {std::uint64_t{64} << 20, std::uint64_t{16} << 20, std::uint64_t{0}}) {
        Cut cut{.limits = {.group_bytes = group}, .in_memory = in_memory, .threads = threads};
        if (group == 0) cut.slots = 2, cut.renders = 1;
        all.push_back(cut);
      }
    }
    if (threads <= 1) return all;
  }
}

}  // namespace

std::vector<Part> cut_run(const OpenModel& model, const Assignment& assignment, std::span<const Visit> all,
                          const PartLimits& limits) {
  std::vector<Part> parts;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool copies_head = std::ranges::all_of(all[i].linears, [&](const LinearSpec* linear) {
      return assignment.of(*linear).verbatim && !assignment.copies_codes(*linear);
    });
    for (Part& part : cut_visit(model, all[i], i, copies_head, limits)) parts.push_back(std::move(part));
  }
  return parts;
}

std::uint64_t render_bytes(const OpenModel& model, const Assignment& assignment,
                           std::span<const LinearSpec* const> linears) {
  std::uint64_t total = 0;
  for (const LinearSpec* linear : linears) {
    const LinearPlan& plan = model.linear(*linear);
    if (!assignment.copies(*linear)) {
      for (const Field& field : written_fields(plan, assignment))
        total += align_up(field_bytes(field), render_alignment);
      continue;
    }
    if (!assignment.copies_codes(*linear)) continue;
    for (const CopiedField& copied : copied_fields(plan.stored, assignment.of(*linear)))
      if (copied.step != CopyStep::bytes) total += align_up(field_bytes(copied.field), render_alignment);
  }
  return total;
}

CutPlan plan_memory(const OpenModel& model, const Assignment& assignment, const MemoryQuestion& question,
                    std::uint64_t limit) {
  const std::vector<Visit>& all = model.visits;
  std::map<std::uint64_t, PartSizes> by_group;
  std::optional<CutPlan> smallest;
  for (const Cut& cut : cuts(question)) {
    const auto [sizes, fresh] = by_group.try_emplace(cut.limits.group_bytes);
    if (fresh)
      for (const Part& part : cut_run(model, assignment, all, cut.limits))
        sizes->second.cover(sizes_of(model, assignment, part));
    const CutPlan plan = {cut, plan_for(model, question, cut, sizes->second)};
    if (plan.memory.peak() <= limit) return plan;
    // Not always the last: a scratch file saves nothing where all hidden states are one block.
    if (!smallest || plan.memory.peak() < smallest->memory.peak()) smallest = plan;
  }
  return *smallest;
}

}  // namespace strata
