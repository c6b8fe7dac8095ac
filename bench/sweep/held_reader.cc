#include "bench/sweep/held_reader.h"

#include <algorithm>

#include "base/bytes.h"

namespace strata::bench {
namespace {

constexpr std::uint64_t small_tensor = 1u << 20;

}  // namespace

// The part of a tensor that lies in a range.
struct HeldReader::Place {
  const InputFile* file = nullptr;
  std::uint64_t offset = 0, bytes = 0;
  std::byte* to = nullptr;
  std::uint8_t kind = other;  // of the weights; `other` for what must be the right bytes
};

HeldReader::HeldReader(const Checkpoint& checkpoint) : checkpoint_(checkpoint), tensors_(checkpoint.files().size()) {
  for (const TensorInfo& tensor : checkpoint.tensors())
    tensors_[static_cast<std::size_t>(tensor.file)].push_back(&tensor);
  for (auto& tensors : tensors_) std::ranges::sort(tensors, {}, &TensorInfo::offset);
}

void HeldReader::read(std::span<const ReadRange> ranges) {
  if (ranges.empty()) return;
  Slot& slot = slot_of(ranges);
  for (const ReadRange& range : ranges) {
    const auto& tensors = tensors_[static_cast<std::size_t>(range.file - checkpoint_.files().data())];
    const std::uint64_t range_end = range.offset + range.bytes;
    auto tensor = std::ranges::partition_point(
        tensors, [&](const TensorInfo* t) { return t->offset + t->bytes <= range.offset; });
    for (; tensor != tensors.end() && (*tensor)->offset < range_end; ++tensor) {
      const TensorInfo& t = **tensor;
      const std::uint64_t begin = std::max(t.offset, range.offset), end = std::min(t.offset + t.bytes, range_end);
      const bool held = t.bytes >= small_tensor;
      take(slot, {.file = range.file,
                  .offset = begin,
                  .bytes = end - begin,
                  .to = range.to + (begin - range.offset),
                  .kind = held ? static_cast<std::uint8_t>(1 + static_cast<int>(t.dtype)) : other});
    }
  }
}

// A slot is known by where it begins. One that grew has other memory, which may lie where others were.
HeldReader::Slot& HeldReader::slot_of(std::span<const ReadRange> ranges) {
  std::byte* const begin = ranges.front().to - ranges.front().offset % direct_block;
  std::byte* end = begin;
  for (const ReadRange& range : ranges) end = std::max(end, range.to + range.bytes);
  const std::size_t blocks = align_up(static_cast<std::uint64_t>(end - begin), direct_block) / direct_block;
  const auto known = std::ranges::find(slots_, begin, &Slot::begin);
  if (known != slots_.end() && known->blocks.size() >= blocks) return *known;
  std::erase_if(slots_, [&](const Slot& slot) {
    return slot.begin < end && begin < slot.begin + slot.blocks.size() * direct_block;
  });
  return slots_.emplace_back(Slot{.begin = begin, .blocks = std::vector<std::uint8_t>(blocks, other)});
}

// Reads the blocks of a place that do not hold what will do.
void HeldReader::take(Slot& slot, const Place& place) {
  const auto from = static_cast<std::uint64_t>(place.to - slot.begin);
  const std::uint64_t begin = from / direct_block, end = align_up(from + place.bytes, direct_block) / direct_block;
  const auto wanted = [&](std::uint64_t block) { return place.kind == other || slot.blocks[block] != place.kind; };
  for (std::uint64_t block = begin; block < end; ++block) {
    if (!wanted(block)) continue;
    const std::uint64_t first = block;
    while (block < end && wanted(block)) ++block;
    read_blocks(slot, place, first, block);
  }
}

void HeldReader::read_blocks(Slot& slot, const Place& place, std::uint64_t first, std::uint64_t end) {
  const auto from = static_cast<std::uint64_t>(place.to - slot.begin), behind = from + place.bytes;
  const std::uint64_t begin = std::max(from, first * direct_block), stop = std::min(behind, end * direct_block);
  place.file->read_at(place.offset + (begin - from), {slot.begin + begin, stop - begin});
  bytes_read_ += stop - begin;
  for (std::uint64_t block = first; block < end; ++block) {
    const bool whole = block * direct_block >= from && (block + 1) * direct_block <= behind;
    slot.blocks[block] = whole ? place.kind : other;
  }
}

}  // namespace strata::bench
