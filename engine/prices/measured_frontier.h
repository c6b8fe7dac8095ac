// What was predicted and measured of the choices for several budgets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strata {

// A choice, and all budgets that lead to it.
struct MeasuredPoint {
  std::vector<double> bits_asked;
  double bits = 0;                            // per parameter of the units
  std::uint64_t bytes = 0;                    // of the units
  double predicted = 0, predicted_error = 0;  // nats a token, and the standard error
  double measured = 0, measured_error = 0;
  double tail = 0;                 // 99th percentile of the measured
  std::optional<double> selected;  // KL on the windows that choose alone, where there is a choice
  bool chosen = false;
};

// How well predictions order and size what is measured. Of points where both are more than 0.
struct Surrogate {
  std::size_t points = 0;
  double spearman = 0;  // correlation of ranks, those of equals averaged; NaN below two points or where all are equal
  double bias = 0;      // geometric mean of predicted / measured, less 1; NaN without points
};
Surrogate surrogate_of(std::span<const MeasuredPoint> points);

// For people: a line a point, and one of the surrogate.
std::vector<std::string> frontier_lines(std::span<const MeasuredPoint> points);

}  // namespace strata
