#include "cli/eta.h"

#include <algorithm>

namespace strata {

void Eta::layer_done(const std::string& kind, double seconds) {
  std::vector<double>& sorted = seconds_[kind];
  sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), seconds), seconds);
  last_kind_ = kind;
  left_ = std::max(left_ - 1, 0);
}

std::optional<double> Eta::seconds_left() const {
  const auto found = seconds_.find(last_kind_);
  if (found == seconds_.end() || found->second.size() < 2) return std::nullopt;
  const std::vector<double>& sorted = found->second;
  const std::size_t middle = sorted.size() / 2;
  const double median = sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return median * left_;
}

}  // namespace strata
