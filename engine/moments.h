// What calibration saw at the inputs of Linears: the largest |x| of each distinct input.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "engine/model/linear_site.h"

namespace strata {

// Collects over the samples of one chunk; merge() joins chunks in any order. The router sees what the experts
// see but has an input name of its own, so nothing is mixed. Not thread-safe.
class Moments final : public SiteObserver {
 public:
  void see(const LinearSpec& linear, const at::Tensor& x) override;

  // Error{input} when no token reached the Linear, or what reached it was not finite.
  float input_amax(const LinearSpec& linear) const;
  void merge(const Moments& other);
  void clear() { largest_.clear(); }

 private:
  std::unordered_map<std::string, float> largest_;  // by LinearSpec::input
  std::string last_input_;       // siblings pass the same tensor: looked at once
  const void* last_data_ = nullptr;
};

}  // namespace strata
