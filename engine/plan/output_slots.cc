#include "engine/plan/output_slots.h"

#include <algorithm>

#include "base/error.h"

namespace strata {

OutputSlots::OutputSlots(const ShardLayout& layout) {
  std::size_t tensors = 0, characters = 0;
  for (const Shard& shard : layout.shards)
    for (const TensorInfo& tensor : shard.tensors) {
      ++tensors;
      characters += tensor.name.size();
    }
  slots_.reserve(tensors);
  names_.reserve(characters);
  for (const Shard& shard : layout.shards)
    for (const TensorInfo& tensor : shard.tensors) {
      slots_.push_back({.offset = tensor.offset,
                        .bytes = tensor.bytes,
                        .name_at = names_.size(),
                        .name_bytes = static_cast<std::uint32_t>(tensor.name.size()),
                        .shard = static_cast<std::uint32_t>(tensor.file)});
      names_ += tensor.name;
    }
  std::ranges::sort(slots_, {}, [&](const OutputSlot& slot) { return name_of(slot); });
}

std::optional<std::size_t> OutputSlots::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(slots_, name, {}, [&](const OutputSlot& slot) { return name_of(slot); });
  if (found == slots_.end() || name_of(*found) != name) return std::nullopt;
  return static_cast<std::size_t>(found - slots_.begin());
}

std::size_t OutputSlots::index_of(std::string_view name) const {
  const std::optional<std::size_t> index = find(name);
  if (!index) fail(Fault::bug, "{}: is not part of the planned output", name);
  return *index;
}

}  // namespace strata
