// What the planner asks of a block, whatever its kind: one overload a kind in blocks.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/plan/part.h"
#include "profiles/model_spec.h"

namespace strata {

// Linears that must share a format: those that are served as one matrix, all experts' matrices (`per_expert`: those of
// each), each other one alone.
std::vector<std::vector<const LinearSpec*>> format_units(const Block& block, bool per_expert = false);

// How the last block of a layer is read.
struct BlockParts {
  std::vector<const LinearSpec*> early;  // with the blocks before it: attention, a router
  // What parts of their own are made of, in order: a dense MLP, experts one by one.
  std::vector<std::vector<const LinearSpec*>> pieces;
  Part::Kind kind = Part::Kind::mlp;  // of those parts; experts may be cut between any two pieces
};
BlockParts last_parts(const Block& block);

// Floats that are alive for each token while it goes through the block, `hidden` wide.
std::int64_t scratch_columns(const Block& block, std::int64_t hidden);

}  // namespace strata
