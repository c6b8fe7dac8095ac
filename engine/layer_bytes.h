// The stored bytes of one visit, in memory. One buffer serves all visits of a sweep.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "engine/open_model.h"

namespace strata {

// Holds what was loaded last; views into it end with the next load. Not thread-safe to load.
class LayerBytes {
 public:
  void load(const OpenModel& model, const Visit& visit, Borrowed borrowed);

  std::span<const std::byte> bytes(std::string_view tensor) const;  // aligned to 64 bytes
  // Of every field of a Linear of the visit, in their order.
  std::vector<std::span<const std::byte>> bytes(const StoredLinear& linear) const;
  std::uint64_t loaded_bytes() const { return loaded_; }  // read from disk by the last load

  // What load() will hold for a visit.
  static std::uint64_t memory(const OpenModel& model, const Visit& visit, Borrowed borrowed);

 private:
  Buffer buffer_;
  std::unordered_map<std::string_view, std::span<const std::byte>> tensors_;  // keys live in the checkpoint
  std::uint64_t loaded_ = 0;
};

}  // namespace strata
