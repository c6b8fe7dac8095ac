// The one function through which every matmul of the interpreter goes: statistics and the simulation of
// served activations hang here.
#pragma once

#include <memory>

#include "engine/model/layer_weights.h"
#include "engine/model/served.h"

namespace strata {

// Sees the input of every Linear before it is multiplied. x is [..., in], float32, contiguous.
class SiteObserver {
 public:
  virtual ~SiteObserver() = default;
  virtual void see(const LinearSpec& linear, const at::Tensor& x) = 0;
  // Sees what came of it, [..., out], before anything changes it in place.
  virtual void gave(const LinearSpec& /*linear*/, const at::Tensor& /*x*/, const at::Tensor& /*y*/) {}
  // What attention would put into its cache: rotated keys and values, [n, kv heads, t, head_dim], not contiguous.
  virtual void see_cache(const AttentionSpec& /*attention*/, const at::Tensor& /*keys*/, const at::Tensor& /*values*/) {
  }
};

// Not thread-safe. Refers to its arguments, which must outlive it.
class LinearSite {
 public:
  LinearSite(const LayerWeights& weights, ActivationMode activations, SiteObserver* observer = nullptr);
  ~LinearSite();

  // y = x W^T + b for x [..., in]; gives [..., out].
  at::Tensor operator()(const LinearSpec& linear, const at::Tensor& x);

  // Shows the observer what attention would cache.
  void cache(const AttentionSpec& attention, const at::Tensor& keys, const at::Tensor& values) {
    if (observer_ != nullptr) observer_->see_cache(attention, keys, values);
  }

 private:
  at::Tensor served(const LinearSpec& linear, const at::Tensor& x);

  const LayerWeights& weights_;
  const ActivationMode activations_;
  SiteObserver* const observer_;
  struct LastInput;
  std::unique_ptr<LastInput> last_;  // siblings quantize the same input in the same way: done once
};

}  // namespace strata
