// A reader that reads next to nothing, so that what computing costs alone can be measured on values as real as a
// model's. The bytes of large tensors are left as they lie in the slot once weights of the same type were read there:
// they are those of an earlier layer, or of a neighbour in this one. Small tensors (norms, routers), which decide how
// large hidden states grow and where experts send them, are always the right ones.
#pragma once

#include <cstdint>
#include <vector>

#include "base/reader.h"
#include "formats/checkpoint/checkpoint.h"

namespace strata::bench {

class HeldReader final : public Reader {
 public:
  explicit HeldReader(const Checkpoint& checkpoint);  // which outlives it

  void read(std::span<const ReadRange> ranges) override;
  IoMethod method() const override { return IoMethod::pread; }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  // What each block of a slot of memory holds: weights of one type all over, or something else.
  static constexpr std::uint8_t other = 0;
  struct Slot {
    std::byte* begin = nullptr;
    std::vector<std::uint8_t> blocks;
  };
  struct Place;

  Slot& slot_of(std::span<const ReadRange> ranges);
  void take(Slot& slot, const Place& place);
  void read_blocks(Slot& slot, const Place& place, std::uint64_t first, std::uint64_t end);

  const Checkpoint& checkpoint_;
  std::vector<std::vector<const TensorInfo*>> tensors_;  // of each file, in order of place
  std::vector<Slot> slots_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace strata::bench
