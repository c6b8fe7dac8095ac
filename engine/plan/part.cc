#include "engine/plan/part.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "engine/plan/blocks.h"

namespace strata {
namespace {

void sort_by_place(std::vector<TensorPiece>& pieces) {
  std::ranges::sort(pieces, {},
                    [](const TensorPiece& p) { return std::tuple(p.tensor->file, p.tensor->offset, p.skip); });
}

std::uint64_t bytes_of(const std::vector<TensorPiece>& pieces) {
  std::uint64_t total = 0;
  for (const TensorPiece& piece : pieces) total += piece.bytes;
  return total;
}

// Builds the parts of one visit.
class Cutter {
 public:
  Cutter(const OpenModel& model, const Visit& visit, std::size_t index, const PartLimits& limits)
      : model_(model), visit_(visit), index_(index), limits_(limits) {}

  void add(Part::Kind kind, std::vector<const LinearSpec*> linears, std::vector<const TensorInfo*> kept,
           std::size_t first_expert = 0, std::size_t end_expert = 0) {
    for (const LinearSpec* linear : linears)
      if (linear->bias) kept.push_back(&model_.checkpoint.at(linear->module + ".bias"));
    Part part{.kind = kind,
              .model = &model_,
              .visit = &visit_,
              .visit_index = index_,
              .linears = std::move(linears),
              .kept = std::move(kept)};
    part.pieces = stored_pieces(model_, part.linears, part.kept);
    part.first_expert = first_expert;
    part.end_expert = end_expert;
    parts_.push_back(std::move(part));
  }

  void add_experts(const std::vector<std::vector<const LinearSpec*>>& experts) {
    std::size_t first = 0;
    std::vector<const LinearSpec*> group;
    std::uint64_t bytes = 0;
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const std::uint64_t here = bytes_of(stored_pieces(model_, experts[e], {}));
      if (!group.empty() && bytes + here > limits_.group_bytes) {
        add(Part::Kind::experts, std::exchange(group, {}), {}, first, e);
        first = e;
        bytes = 0;
      }
      group.insert(group.end(), experts[e].begin(), experts[e].end());
      bytes += here;
    }
    add(Part::Kind::experts, std::move(group), {}, first, experts.size());
  }

  // A tensor that nothing looks into, in pieces of whole rows.
  void add_copy(const TensorInfo& tensor) {
    const std::uint64_t rows =
        tensor.shape.empty() ? 1 : static_cast<std::uint64_t>(std::max<std::int64_t>(1, tensor.shape[0]));
    const std::uint64_t row = std::max<std::uint64_t>(1, tensor.bytes / rows);
    const std::uint64_t step = std::max<std::uint64_t>(1, limits_.piece_bytes / row) * row;
    std::uint64_t skip = 0;
    do {
      Part part{.kind = Part::Kind::copy, .model = &model_, .visit = &visit_, .visit_index = index_};
      part.pieces = {{&tensor, skip, std::min(step, tensor.bytes - skip)}};
      parts_.push_back(std::move(part));
      skip += step;
    } while (skip < tensor.bytes);
  }

  std::vector<Part> finish() {
    parts_.front().first = true;
    parts_.back().last = true;
    for (std::size_t i = 0; i < parts_.size(); ++i) parts_[i].index = i;
    return std::move(parts_);
  }

 private:
  const OpenModel& model_;
  const Visit& visit_;
  const std::size_t index_;
  const PartLimits& limits_;
  std::vector<Part> parts_;
};

void append(const std::vector<const LinearSpec*>& more, std::vector<const LinearSpec*>& list) {
  list.insert(list.end(), more.begin(), more.end());
}

// The blocks before the last come together, with all norms.
void cut_layer(const OpenModel& model, const LayerSpec& layer, Cutter& cutter) {
  const BlockParts last = last_parts(layer.blocks.back());
  std::vector<const LinearSpec*> mixer;
  for (std::size_t i = 0; i + 1 < layer.blocks.size(); ++i) append(linears(layer.blocks[i]), mixer);
  append(last.early, mixer);
  std::vector<const TensorInfo*> kept;
  for (const NormSpec* norm : norms(layer)) kept.push_back(&model.checkpoint.at(norm->weight));
  cutter.add(Part::Kind::mixer, std::move(mixer), std::move(kept));
  if (last.kind == Part::Kind::experts)
    cutter.add_experts(last.pieces);
  else
    for (const std::vector<const LinearSpec*>& piece : last.pieces) cutter.add(last.kind, piece, {});
}

// The final norm comes first, with the head where that is encoded; the rest is carried along.
void cut_head(const OpenModel& model, const Visit& visit, bool copies_head, Cutter& cutter) {
  const std::vector<const LinearSpec*> encoded = copies_head ? std::vector<const LinearSpec*>{} : visit.linears;
  const TensorInfo& norm = model.checkpoint.at(model.spec->final_norm.weight);
  cutter.add(Part::Kind::head, encoded, {&norm});
  std::unordered_set<const TensorInfo*> taken = {&norm};
  for (const LinearSpec* linear : encoded)
    if (linear->bias) taken.insert(&model.checkpoint.at(linear->module + ".bias"));
  if (copies_head)
    for (const LinearSpec* linear : visit.linears)
      for (const TensorPiece& piece : stored_pieces(model, {linear}, {})) cutter.add_copy(*piece.tensor);
  for (const TensorInfo* tensor : visit.kept)
    if (!taken.contains(tensor)) cutter.add_copy(*tensor);
}

}  // namespace

std::vector<TensorPiece> stored_pieces(const OpenModel& model, const std::vector<const LinearSpec*>& linears,
                                       const std::vector<const TensorInfo*>& others) {
  std::vector<TensorPiece> pieces;
  for (const LinearSpec* linear : linears) {
    const LinearPlan& plan = model.linear(*linear);
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) pieces.push_back(plan.piece(i));
  }
  for (const TensorInfo* tensor : others) pieces.push_back({tensor, 0, tensor->bytes});
  sort_by_place(pieces);
  return pieces;
}

std::vector<Part> cut_visit(const OpenModel& model, const Visit& visit, std::size_t visit_index, bool copies_head,
                            const PartLimits& limits) {
  Cutter cutter(model, visit, visit_index, limits);
  switch (visit.kind) {
    case Visit::Kind::section:
    case Visit::Kind::embedding:
      for (const TensorInfo* tensor : visit.kept) cutter.add_copy(*tensor);
      break;
    case Visit::Kind::layer:
      cut_layer(model, *visit.layer, cutter);
      break;
    case Visit::Kind::head:
      cut_head(model, visit, copies_head, cutter);
      break;
  }
  return cutter.finish();
}

bool has_dense_head(const OpenModel& model) {
  return model.spec->tied || model.linear(model.spec->head).stored.dense();
}

namespace {

// The matrix of a dense head.
const TensorInfo& head_tensor(const OpenModel& model) {
  return model.checkpoint.at(model.spec->tied ? model.spec->embedding : model.spec->head.module + ".weight");
}

std::vector<Part> cut_logits(const OpenModel& model, const Visit& visit, std::size_t visit_index, bool whole_head,
                             const PartLimits& limits) {
  const ModelSpec& spec = *model.spec;
  const TensorInfo& norm = model.checkpoint.at(spec.final_norm.weight);
  std::vector<Part> parts;
  const auto add = [&](std::int64_t first, std::int64_t end) -> Part& {
    Part part{.kind = Part::Kind::logits, .model = &model, .visit = &visit, .visit_index = visit_index};
    part.index = parts.size();
    part.first_row = first;
    part.end_row = end;
    part.kept.push_back(&norm);
    if (spec.head.bias) part.kept.push_back(&model.checkpoint.at(spec.head.module + ".bias"));
    for (const TensorInfo* tensor : part.kept) part.pieces.push_back({tensor, 0, tensor->bytes});
    return parts.emplace_back(std::move(part));
  };
  if (!has_dense_head(model)) {
    Part& part = add(0, spec.head.out);
    part.linears.push_back(&spec.head);
    part.pieces = stored_pieces(model, part.linears, part.kept);
  } else {
    const TensorInfo& head = head_tensor(model);
    const auto row = static_cast<std::int64_t>(head.bytes) / spec.head.out;
    // By what they are decoded to, so that heads of different types are cut alike.
    const auto decoded = spec.hidden * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t step =
        whole_head ? spec.head.out : std::max<std::int64_t>(1, static_cast<std::int64_t>(limits.piece_bytes) / decoded);
    for (std::int64_t first = 0; first < spec.head.out; first += step) {
      const std::int64_t end = std::min(first + step, spec.head.out);
      std::vector<TensorPiece>& pieces = add(first, end).pieces;
      pieces.push_back(
          {&head, static_cast<std::uint64_t>(first * row), static_cast<std::uint64_t>((end - first) * row)});
      sort_by_place(pieces);
    }
  }
  parts.front().first = parts.back().last = true;
  return parts;
}

}  // namespace

std::vector<Part> cut_forward(const OpenModel& model, std::size_t visit_index, bool whole_head,
                              const PartLimits& limits) {
  const Visit& visit = model.visits.at(visit_index);
  if (visit.kind == Visit::Kind::head) return cut_logits(model, visit, visit_index, whole_head, limits);
  return cut_visit(model, visit, visit_index, true, limits);
}

}  // namespace strata
