#include "engine/source/layer_bytes.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"

namespace strata {
namespace {

constexpr std::uint64_t alignment = 8;            // of the widest element: what lies elsewhere is moved
constexpr std::uint64_t largest_gap = 64u << 10;  // bytes nobody asked for that are read to save a request

// Pieces that lie together on disk, read in one go.
struct Run {
  std::uint64_t offset = 0, bytes = 0;
  std::uint64_t place = 0;  // in the buffer
  int file = 0;
};

struct Layout {
  std::vector<Run> runs;
  std::vector<std::uint64_t> places;  // of each piece in the buffer
  std::vector<std::uint64_t> moved;   // where a piece goes that lies at an odd place; 0: it stays
  std::uint64_t bytes = 0;
};

// A run lies in the buffer as it lies in its file, modulo the block of direct reads.
Layout lay_out(const Part& part) {
  Layout layout;
  for (const TensorPiece& piece : part.pieces) {
    const std::uint64_t begin = piece.tensor->offset + piece.skip;
    const bool joins = !layout.runs.empty() && layout.runs.back().file == piece.tensor->file &&
                       begin <= layout.runs.back().offset + layout.runs.back().bytes + largest_gap;
    if (!joins) {
      layout.bytes = align_up(layout.bytes, direct_block);
      layout.runs.push_back(
          {.offset = begin, .place = layout.bytes + begin % direct_block, .file = piece.tensor->file});
    }
    Run& run = layout.runs.back();
    run.bytes = std::max(run.bytes, begin + piece.bytes - run.offset);
    layout.places.push_back(run.place + (begin - run.offset));
    layout.bytes = run.place + run.bytes;
  }
  layout.bytes = align_up(layout.bytes, direct_block);
  for (std::size_t i = 0; i < part.pieces.size(); ++i) {
    const bool stays = layout.places[i] % alignment == 0;
    layout.moved.push_back(stays ? 0 : layout.bytes);
    if (!stays) layout.bytes += align_up(part.pieces[i].bytes, alignment);
  }
  return layout;
}

}  // namespace

std::uint64_t LayerBytes::memory(const Part& part) { return lay_out(part).bytes; }

void LayerBytes::load(const OpenModel& model, const Part& part, Reader& reader) {
  tensors_.clear();
  pieces_.clear();
  loaded_ = 0;
  const Layout layout = lay_out(part);
  buffer_.grow(layout.bytes);
  std::vector<ReadRange> ranges;
  for (const Run& run : layout.runs)
    ranges.push_back({.file = &model.checkpoint.files()[static_cast<std::size_t>(run.file)],
                      .offset = run.offset,
                      .bytes = run.bytes,
                      .to = buffer_.data() + run.place});
  reader.read(ranges);
  for (std::size_t i = 0; i < part.pieces.size(); ++i) {
    const TensorPiece& piece = part.pieces[i];
    std::byte* where = buffer_.data() + layout.places[i];
    if (layout.moved[i] != 0 && piece.bytes > 0)
      where = static_cast<std::byte*>(std::memcpy(buffer_.data() + layout.moved[i], where, piece.bytes));
    tensors_[{piece.tensor, piece.skip}] = pieces_.emplace_back(where, piece.bytes);
    loaded_ += piece.bytes;
  }
}

std::span<const std::byte> LayerBytes::bytes(const TensorInfo& tensor) const {
  const auto found = tensors_.lower_bound({&tensor, 0});
  if (found == tensors_.end() || found->first.first != &tensor)
    fail(Fault::bug, "{}: not part of the layer that is loaded", tensor.name);
  return found->second;
}

std::span<const std::byte> LayerBytes::bytes(const TensorPiece& piece) const {
  const auto found = tensors_.find({piece.tensor, piece.skip});
  if (found == tensors_.end())
    fail(Fault::bug, "{}: its bytes from {} on are not part of the layer that is loaded", piece.tensor->name,
         piece.skip);
  return found->second.first(piece.bytes);
}

std::vector<std::span<const std::byte>> LayerBytes::bytes(const LinearPlan& linear) const {
  std::vector<std::span<const std::byte>> all;
  for (std::size_t i = 0; i < linear.tensors.size(); ++i) all.push_back(bytes(linear.piece(i)));
  return all;
}

}  // namespace strata
