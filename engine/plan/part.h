// A visit is walked in parts, so that a layer need not fit in memory: the mixer, then the MLP or the experts in
// groups, each read once; large tensors that are only copied go through in pieces. How a visit is cut never changes
// a byte of the output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/plan/open_model.h"

namespace strata {

struct Part {
  enum class Kind : std::uint8_t {
    whole,    // everything of the visit at once
    mixer,    // norms, attention, router: all but what its last block reads in parts of its own
    mlp,      // the dense MLP
    experts,  // experts [first_expert, end_expert)
    head,     // final norm and head, where the head is encoded
    copy,     // a piece of one tensor that is kept
    logits,   // final norm and rows [first_row, end_row) of the head, for a forward; all of it where it is coded
  };
  Kind kind = Kind::whole;
  const OpenModel* model = nullptr;
  const Visit* visit = nullptr;
  std::size_t visit_index = 0;             // among all visits
  std::size_t index = 0;                   // in the visit
  std::vector<const LinearSpec*> linears;  // all of each
  std::vector<const TensorInfo*> kept;     // further tensors, all of each: norms, biases
  std::vector<TensorPiece> pieces;         // what is read: all of the above, or the piece; in order of place on disk
  std::size_t first_expert = 0, end_expert = 0;
  std::int64_t first_row = 0, end_row = 0;
  bool first = false, last = false;  // of its visit
};

// How finely visits are cut.
struct PartLimits {
  std::uint64_t group_bytes = 64u << 20;  // stored bytes of a group of experts, but at least one expert
  std::uint64_t piece_bytes = 16u << 20;  // of a tensor that is only copied, but at least one row
};

// Parts of a visit in order. `copies_head`: the head is kept as it is, and only copied. They point into `visit`.
std::vector<Part> cut_visit(const OpenModel& model, const Visit& visit, std::size_t visit_index, bool copies_head,
                            const PartLimits& limits);

// The same for a forward alone, which makes logits of the head; what a visit borrows is read too. `whole_head`: in one
// part.
std::vector<Part> cut_forward(const OpenModel& model, std::size_t visit_index, bool whole_head,
                              const PartLimits& limits);

// Whether the head is a plain matrix, which can be cut into rows.
bool has_dense_head(const OpenModel& model);

// Everything stored of some Linears of the visit and of some further tensors, in order of place on disk.
std::vector<TensorPiece> stored_pieces(const OpenModel& model, const std::vector<const LinearSpec*>& linears,
                                       const std::vector<const TensorInfo*>& others);

}  // namespace strata
