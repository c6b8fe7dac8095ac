// Whether prices were measured on enough data to choose by them.
#pragma once

#include <optional>
#include <string>

#include "engine/prices/allocation.h"

namespace strata {

// Units whose price is known to no better than half of itself, where they hold more than a twentieth of the bytes.
struct ShortCalibration {
  std::size_t units = 0, all_units = 0;  // such units
  double share = 0;                      // of the bytes of all
  double error = 0;                      // relative: the one that has to become a half
  std::int64_t sequences = 0;            // measured on
  std::int64_t needed = 0;               // with which it would do: errors fall with their root

  std::string text() const;  // one sentence
};

// nullopt when they were enough. `rule`: what the allocation was chosen by.
std::optional<ShortCalibration> short_calibration(const Prices& prices, const Allocation& allocation, PriceRule rule);

}  // namespace strata
