// The largest |x| that enters each of some Linears, whatever their siblings see.
#pragma once

#include <optional>
#include <unordered_map>

#include "engine/model/linear_site.h"

namespace strata {

// Not thread-safe: one for each block, which are then merged.
class LargestInputs final : public SiteObserver {
 public:
  void see(const LinearSpec& linear, const at::Tensor& x) override;
  void merge(const LargestInputs& other);
  void clear() { largest_.clear(); }
  std::optional<float> find(const LinearSpec& linear) const;  // nothing where no token came to it

 private:
  std::unordered_map<const LinearSpec*, float> largest_;
};

}  // namespace strata
