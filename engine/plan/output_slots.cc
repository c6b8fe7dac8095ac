#include "engine/plan/output_slots.h"

#include <algorithm>

namespace strata {

OutputSlots::OutputSlots(const ShardLayout& layout) {
  const auto tensor_at = [&](const ShardLayout::Place& place) -> const TensorInfo& {
    return layout.shards[place.shard].tensors[place.tensor];
  };
  std::size_t characters = 0;
  for (const ShardLayout::Place& place : layout.places) characters += tensor_at(place).name.size();
  slots_.reserve(layout.places.size());
  names_.reserve(characters);
  for (const ShardLayout::Place& place : layout.places) {
    const TensorInfo& tensor = tensor_at(place);
    slots_.push_back({.offset = tensor.offset,
                      .bytes = tensor.bytes,
                      .name_at = names_.size(),
                      .name_bytes = static_cast<std::uint32_t>(tensor.name.size()),
                      .shard = place.shard});
    names_ += tensor.name;
  }
}

std::optional<std::size_t> OutputSlots::find(std::string_view name) const {
  const auto found = std::ranges::find_if(slots_, [&](const OutputSlot& slot) { return name_of(slot) == name; });
  if (found == slots_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - slots_.begin());
}

}  // namespace strata
