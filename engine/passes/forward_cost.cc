#include "engine/passes/forward_cost.h"

#include <algorithm>

#include "cache/codec_choice.h"
#include "engine/graph/facts.h"
#include "engine/graph/graph.h"
#include "engine/graph/pass_question.h"
#include "engine/plan/blocks.h"
#include "engine/sweep/boundary_keeper.h"
#include "engine/sweep/moments.h"
#include "formats/tokenizer/tokenizer.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

// Chosen so that plans meet measured peaks: docs/benchmarks.md.
constexpr std::uint64_t library_scratch = 8u << 20;  // working memory of the matrix library in one thread

// Bytes of temporaries while `rows` tokens go through the widest layer.
std::uint64_t forward_scratch(const ModelSpec& model, std::int64_t rows) {
  std::int64_t widest = 0;
  for (const LayerSpec& layer : model.layers)
    for (const Block& block : layer.blocks) widest = std::max(widest, scratch_columns(block, model.hidden));
  return static_cast<std::uint64_t>(rows * widest) * sizeof(float);
}

// Where the experts send each token: ids and weights.
std::uint64_t route_bytes(const ModelSpec& model, std::int64_t tokens) {
  int most = 0;
  for (const LayerSpec& layer : model.layers) most = std::max(most, chosen_experts(layer));
  return static_cast<std::uint64_t>(tokens * most) * (sizeof(std::int32_t) + sizeof(float));
}

// Sums of squares where somebody weighs columns.
std::uint64_t moments_bytes(const PassQuestion&, const Part& part) { return Moments::memory(part.linears); }

// Of all Linears of a visit at once, the most; and of the whole model.
struct KeptMoments {
  std::uint64_t visit = 0, model = 0;
};
KeptMoments kept_moments(std::span<const Part> parts) {
  KeptMoments kept;
  std::uint64_t here = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && parts[i].visit_index != parts[i - 1].visit_index) here = 0;
    const std::uint64_t bytes = Moments::memory(parts[i].linears);
    here += bytes;
    kept.model += bytes;
    kept.visit = std::max(kept.visit, here);
  }
  return kept;
}

// More than nothing where the experts of a layer come in more than one part.
std::uint64_t later_experts(const PassQuestion&, const Part& part) {
  return part.kind == Part::Kind::experts && part.first_expert > 0 ? 1 : 0;
}

}  // namespace

void states_cost(const CostQuestion& question, const MovingStates& states, CostSheet& sheet) {
  const BoundaryShape& shape = states.shape;
  const ModelSpec& model = *question.pass.model.spec;
  const std::uint64_t alive = question.blocks_alive(states), lanes = states.lanes;
  sheet.add(Resource::host, "boundary",
            static_cast<std::uint64_t>(states.positions()) * sizeof(TokenId) +
                lanes * route_bytes(model, states.positions()));
  const std::uint64_t sets = lanes * (question.sizes.largest(later_experts) > 0 ? 2 : 1);
  if (question.cut.in_memory)
    sheet.add(Resource::host, "boundary", sets * float_bytes(shape));
  else
    sheet.add(Resource::disk, "scratch", 2 * lanes * float_bytes(shape));
  const std::uint64_t block = question.cut.in_memory ? 0 : 2 * block_float_bytes(shape);
  const std::uint64_t forward = alive * (forward_scratch(model, shape.samples_per_block * shape.tokens) + block);
  sheet.add(Resource::host, "forward", std::max(forward, codec_choice_memory));  // a codec is chosen between layers
  sheet.reserve("libraries", alive * library_scratch);
}

void moments_cost(const CostQuestion& question, const MovingStates& states, CostSheet& sheet) {
  // One set of sums for the layer, and one for each block under way.
  const bool stay =
      question.columns && std::ranges::find(question.sweep.keeps, &facts::moments) != question.sweep.keeps.end();
  const KeptMoments kept = stay ? kept_moments(question.sizes.parts()) : KeptMoments();
  const std::uint64_t part = question.columns ? question.sizes.largest(moments_bytes) : 0;
  sheet.reserve("moments", question.blocks_alive(states) * part + std::max(part, kept.visit));
  if (!stay) return;
  // A sum takes 16 bytes as JSON and up to 21 as text, in memory that grows by doubling; what the visit before left
  // is on its way to the disk meanwhile, in two copies.
  sheet.reserve("moments", 16 * kept.visit);
  sheet.add(Resource::disk, "kept moments", 3 * kept.model);
}

}  // namespace strata
