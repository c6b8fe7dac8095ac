// Where every tensor of the output goes. A model of many experts has hundreds of thousands of them, so that each takes
// 32 bytes and its name here, whatever the plan was made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/shard_layout.h"

namespace strata {

struct OutputSlot {
  std::uint64_t offset = 0;  // of the first byte, from the start of its shard
  std::uint64_t bytes = 0;
  std::uint64_t name_at = 0;
  std::uint32_t name_bytes = 0;
  std::uint32_t shard = 0;  // index into the plan's shards
};

// In the order in which the layout was given them. Thread-safe to read.
class OutputSlots {
 public:
  OutputSlots() = default;
  explicit OutputSlots(const ShardLayout& layout);

  std::size_t size() const { return slots_.size(); }
  const OutputSlot& operator[](std::size_t index) const { return slots_[index]; }
  std::string_view name(std::size_t index) const { return name_of(slots_[index]); }

  std::optional<std::size_t> find(std::string_view name) const;  // looks at all of them

 private:
  std::string_view name_of(const OutputSlot& slot) const {
    return std::string_view(names_).substr(slot.name_at, slot.name_bytes);
  }

  std::string names_;  // one after another
  std::vector<OutputSlot> slots_;
};

}  // namespace strata
