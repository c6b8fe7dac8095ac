#include "engine/prices/measured_frontier.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace strata {
namespace {

// From 0; equals share the mean of their places.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<double> all;
  for (const double value : values) {
    const auto below = std::ranges::count_if(values, [&](double other) { return other < value; });
    const auto equal = std::ranges::count(values, value);
    all.push_back(static_cast<double>(below) + static_cast<double>(equal - 1) / 2);
  }
  return all;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto count = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / count;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / count;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Surrogate surrogate_of(std::span<const MeasuredPoint> points) {
  std::vector<double> predicted, measured;
  double logs = 0;
  for (const MeasuredPoint& point : points) {
    if (!(point.predicted > 0) || !(point.measured > 0)) continue;
    predicted.push_back(point.predicted);
    measured.push_back(point.measured);
    logs += std::log(point.predicted / point.measured);
  }
  const double none = std::numeric_limits<double>::quiet_NaN();
  return {.points = predicted.size(),
          .spearman = predicted.size() < 2 ? none : correlation(ranks(predicted), ranks(measured)),
          .bias = predicted.empty() ? none : std::expm1(logs / static_cast<double>(predicted.size()))};
}

std::vector<std::string> frontier_lines(std::span<const MeasuredPoint> points) {
  std::vector<std::string> lines;
  for (const MeasuredPoint& point : points) {
    std::string asked;
    for (const double bits : point.bits_asked) asked += fmt::format("{}{:g}", asked.empty() ? "" : ", ", bits);
    lines.push_back(fmt::format(
        "{} bits: {:.4f} reached, predicted KL {:.4g} +- {:.2g}, measured {:.4g} +- {:.2g}, p99 {:.3g}", asked,
        point.bits, point.predicted, point.predicted_error, point.measured, point.measured_error, point.tail));
  }
  const Surrogate surrogate = surrogate_of(points);
  lines.push_back(fmt::format("predicted beside measured, {} choices: Spearman {:.3f}, bias {:+.1f} %",
                              surrogate.points, surrogate.spearman, 100 * surrogate.bias));
  return lines;
}

}  // namespace strata
