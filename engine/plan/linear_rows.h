// The weight of one Linear of a checkpoint in float32, some rows at a time: a model of any size is compared
// with memory for the rows alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/interrupt.h"
#include "engine/plan/open_model.h"

namespace strata {

class LinearRows {
 public:
  // Error{input} naming the tensor that is missing or has another shape. The checkpoint outlives it.
  LinearRows(const Checkpoint& checkpoint, StoredLinear linear);

  std::int64_t rows() const { return linear_.weight[0]; }
  std::int64_t cols() const { return linear_.weight[1]; }
  // Rows that can be read alone: any multiple of them from a multiple on. Native storages are read whole.
  std::int64_t step() const { return step_; }
  // Rows [first, first + count), decoded. `first` and `count` are multiples of step(), or end with the weight.
  void read(std::int64_t first, std::int64_t count, std::span<float> out) const;

 private:
  // Whether a field is cut along its first dimension, in proportion to the weight's rows.
  bool is_cut(const Field& field) const;
  std::vector<std::byte> bytes_of(const Field& field, std::int64_t first, std::int64_t count) const;

  const Checkpoint& checkpoint_;
  StoredLinear linear_;
  std::int64_t step_ = 0;
};

// What two Linears of one shape differ by.
struct LinearDistance {
  double squared_error = 0, squared_weight = 0;  // sum (a - b)^2, sum a^2
  double product = 0;                            // sum a b
  double squared_other = 0;                      // sum b^2

  double sqnr() const;      // dB; infinity when they are equal, -infinity when a is 0 or a weight is NaN
  double relative() const;  // |a - b| / |a|; 0 when both are 0
};

// Over the first rows alone, or over all.
enum class Extent : std::uint8_t { glance, whole };
LinearDistance distance(const LinearRows& a, const LinearRows& b, Extent extent, const StopFlag* stop);

}  // namespace strata
