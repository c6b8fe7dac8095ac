#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/moments.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/weights.h"

namespace strata {
namespace {

// A NaN stays: it must stop the run, not vanish in a comparison.
void keep_larger(float& largest, float here) {
  if (!std::isnan(largest)) largest = std::isnan(here) ? here : std::max(largest, here);
}

}  // namespace

void Moments::see(const LinearSpec& linear, const at::Tensor& x) {
  const bool sibling = linear.input == last_input_ && x.const_data_ptr() == last_data_;
  last_input_ = linear.input;
  last_data_ = x.const_data_ptr();
  if (sibling || x.numel() == 0) return;
  const at::Tensor dense = x.contiguous();
  const float here = amax({dense.const_data_ptr<float>(), static_cast<std::size_t>(dense.numel())});
  keep_larger(largest_[linear.input], here);
}

void Moments::merge(const Moments& other) {
  for (const auto& [input, amax_there] : other.largest_) keep_larger(largest_[input], amax_there);
}

float Moments::input_amax(const LinearSpec& linear) const {
  const auto found = largest_.find(linear.input);
  if (found == largest_.end())
    fail(Fault::input, "{}: no calibration token reached it; give more samples (--nsamples) or another --dataset",
         linear.module);
  if (!std::isfinite(found->second) || found->second <= 0)
    fail(Fault::input, "{}: the largest |input| that calibration saw is {}; the source cannot be calibrated here",
         linear.module, found->second);
  return found->second;
}

}  // namespace strata
