// The merges of a BPE model: what two neighbouring tokens become, and how early.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace strata::tokenizer {

// An open-addressing table; half of the slots stay free. Thread-safe after filling.
class MergeTable {
 public:
  static constexpr std::uint32_t never = std::numeric_limits<std::uint32_t>::max();
  struct Merge {
    std::uint32_t rank = never;  // lower merges first
    std::int32_t token = 0;
  };

  explicit MergeTable(std::size_t merges = 0) {
    std::size_t slots = 16;
    while (slots < merges * 2) slots *= 2;
    slots_.resize(slots);
  }

  // A later merge of the same pair replaces the earlier.
  void add(std::int32_t left, std::int32_t right, Merge merge) {
    slots_[index(key_of(left, right))] = {key_of(left, right), merge};
  }

  Merge find(std::int32_t left, std::int32_t right) const { return slots_[index(key_of(left, right))].merge; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Merge merge;
  };
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t index(std::uint64_t key) const {
    std::size_t i = (key * 0x9E3779B97F4A7C15ull) >> 20 & (slots_.size() - 1);
    while (slots_[i].merge.rank != never && slots_[i].key != key) i = (i + 1) & (slots_.size() - 1);
    return i;
  }
  std::vector<Slot> slots_;
};

}  // namespace strata::tokenizer
