// The stored bytes of one part of a visit, in memory. One buffer serves all parts that go through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/leased_buffer.h"
#include "base/reader.h"
#include "engine/plan/part.h"

namespace strata {

// Holds what was loaded last; views into it end with the next load. Not thread-safe to load.
class LayerBytes {
 public:
  explicit LayerBytes(Budget& budget) : buffer_(budget, "source bytes") {}

  // Reads the pieces of a part. Error{input} or Error{io} naming the file.
  void load(const OpenModel& model, const Part& part, Reader& reader);

  // The piece of a tensor of the model that was loaded, the first where several were; aligned to 8. Error{bug} when
  // none was.
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;
  std::span<const std::byte> bytes(const TensorPiece& piece) const;  // that which begins where this does
  // Of every tensor of a Linear of the part, in their order.
  std::vector<std::span<const std::byte>> bytes(const LinearPlan& linear) const;
  std::uint64_t loaded_bytes() const { return loaded_; }
  std::span<const std::span<const std::byte>> pieces() const { return pieces_; }  // as those of the part

  // What load() holds for a part.
  static std::uint64_t memory(const Part& part);

 private:
  LeasedBuffer buffer_;
  std::map<std::pair<const TensorInfo*, std::uint64_t>, std::span<const std::byte>> tensors_;  // by tensor and skip
  std::vector<std::span<const std::byte>> pieces_;
  std::uint64_t loaded_ = 0;
};

}  // namespace strata
