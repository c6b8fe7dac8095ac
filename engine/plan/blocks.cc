#include "engine/plan/blocks.h"

#include <algorithm>

#include "engine/plan/assignment.h"

namespace strata {
namespace {

std::vector<const LinearSpec*> linears_of(const GatedMlpSpec& mlp) { return {&mlp.gate, &mlp.up, &mlp.down}; }

struct FormatUnits {
  const Block& block;
  bool per_expert;

  std::vector<std::vector<const LinearSpec*>> operator()(const AttentionSpec& /*attention*/) const {
    return fused_groups(linears(block));
  }
  std::vector<std::vector<const LinearSpec*>> operator()(const GatedMlpSpec& /*mlp*/) const {
    return fused_groups(linears(block));
  }
  std::vector<std::vector<const LinearSpec*>> operator()(const MoeSpec& moe) const {
    std::vector<std::vector<const LinearSpec*>> units = {{&moe.router}};
    for (const GatedMlpSpec& expert : moe.experts) {
      if (per_expert || units.size() == 1) units.emplace_back();
      units.back().insert(units.back().end(), {&expert.gate, &expert.up, &expert.down});
    }
    return units;
  }
};

struct LastParts {
  BlockParts operator()(const AttentionSpec& attention) const {
    return {.early = {&attention.q, &attention.k, &attention.v, &attention.o}};
  }
  BlockParts operator()(const GatedMlpSpec& mlp) const { return {.pieces = {linears_of(mlp)}}; }
  BlockParts operator()(const MoeSpec& moe) const {
    BlockParts parts{.early = {&moe.router}, .kind = Part::Kind::experts};
    for (const GatedMlpSpec& expert : moe.experts) parts.pieces.push_back(linears_of(expert));
    return parts;
  }
};

struct ScratchColumns {
  std::int64_t hidden;

  // What enters and its norm; q, k and v; q and k rotated; k and v of every head, the mix. A block of memory is up to
  // an eighth larger than the tensor in it.
  std::int64_t operator()(const AttentionSpec& attention) const {
    const std::int64_t q = attention.q.out, k = attention.k.out, v = attention.v.out;
    const std::int64_t columns = 2 * hidden + (q + k + v) + (q + k) + 3 * q;
    return columns + columns / 8;
  }
  // Norm, gate, up and the result.
  std::int64_t operator()(const GatedMlpSpec& mlp) const { return 5 * hidden + 3 * mlp.gate.out; }
  std::int64_t operator()(const MoeSpec& moe) const { return 8 * hidden + 3 * moe.experts.at(0).gate.out; }
};

}  // namespace

std::vector<std::vector<const LinearSpec*>> format_units(const Block& block, bool per_expert) {
  return std::visit(FormatUnits{block, per_expert}, block.body);
}

BlockParts last_parts(const Block& block) { return std::visit(LastParts(), block.body); }

std::int64_t scratch_columns(const Block& block, std::int64_t hidden) {
  return std::visit(ScratchColumns{hidden}, block.body);
}

}  // namespace strata
