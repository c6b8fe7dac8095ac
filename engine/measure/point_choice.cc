#include "engine/measure/point_choice.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace strata {
namespace {

constexpr double noise_errors = 2;        // standard errors that a gain must have where points are compared
constexpr double confirm_errors = 1.645;  // and where it is confirmed: one-sided, 5 %

// Whether `paired`, of a smaller point above a larger one, shows that the larger one is better.
bool gains(const Paired& paired, double errors) { return paired.difference > errors * paired.standard_error; }

// A measured KL of nothing or less is noise about nothing: it stands for the smallest that is more.
std::vector<double> logarithms(const std::vector<PointRecord>& points, const std::vector<std::size_t>& kept) {
  double least = std::numeric_limits<double>::infinity();
  for (const std::size_t i : kept)
    if (const double kl = points[i].select.kl_mean; kl > 0) least = std::min(least, kl);
  std::vector<double> logs;
  logs.reserve(kept.size());
  for (const std::size_t i : kept)
    logs.push_back(std::isfinite(least) ? std::log(std::max(points[i].select.kl_mean, least)) : 0);
  return logs;
}

// Those whose rare errors are no larger than a uniform alternative's.
std::vector<std::size_t> of_short_tail(const std::vector<PointRecord>& points, bool allow_tail, PointChoice& choice) {
  std::vector<std::size_t> all(points.size()), kept;
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (allow_tail) return all;
  for (const std::size_t i : all) {
    const bool long_tail = points[i].select.kl_p99 > points[i].select_tail;
    if (!long_tail) kept.push_back(i);
    if (long_tail)
      choice.reasons.push_back(fmt::format("{} is out: p99 {:.4g} is above {:.4g} of a uniform output of as many bytes",
                                           points[i].name, points[i].select.kl_p99, points[i].select_tail));
  }
  return kept;
}

// Steps down while what the more bytes gain is not seen again on windows that had no part in the choice.
std::size_t confirmed(const std::vector<PointRecord>& points, const PairedOf& confirm, bool allow_tail,
                      std::size_t place, PointChoice& choice) {
  for (; place > 0; --place) {
    const PointRecord &here = points[choice.kept[place]], &smaller = points[choice.kept[place - 1]];
    const Paired paired = confirm(choice.kept[place - 1], choice.kept[place]);
    const bool long_tail = !allow_tail && here.confirm.kl_p99 > here.confirm_tail;
    if (!long_tail && gains(paired, confirm_errors)) {
      choice.reasons.push_back(fmt::format("{} is confirmed on other windows: {:.3g} +- {:.2g} below {}", here.name,
                                           paired.difference, paired.standard_error, smaller.name));
      return place;
    }
    choice.reasons.push_back(
        long_tail
            ? fmt::format("{} is not confirmed on other windows: p99 {:.4g} is above {:.4g} of a uniform output",
                          here.name, here.confirm.kl_p99, here.confirm_tail)
            : fmt::format("{} is not confirmed on other windows: {:.3g} +- {:.2g} below {}, which takes its place",
                          here.name, paired.difference, paired.standard_error, smaller.name));
  }
  return place;
}

}  // namespace

std::vector<std::size_t> not_dominated(const std::vector<PointRecord>& points, const std::vector<std::size_t>& of,
                                       const PairedOf& above) {
  std::vector<std::size_t> order = of, kept;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    if (points[a].bytes != points[b].bytes) return points[a].bytes < points[b].bytes;
    return points[a].select.kl_mean < points[b].select.kl_mean;
  });
  for (const std::size_t i : order)
    if (std::ranges::all_of(kept, [&](std::size_t smaller) { return gains(above(smaller, i), noise_errors); }))
      kept.push_back(i);
  return kept;
}

std::size_t knee_of(const std::vector<PointRecord>& points, const std::vector<std::size_t>& kept) {
  const std::vector<double> y = logarithms(points, kept);
  const double first = points[kept.front()].bits, width = points[kept.back()].bits - first;
  std::size_t knee = kept.size();
  double most = 0;
  for (std::size_t i = 1; i + 1 < kept.size(); ++i) {
    const double chord = std::lerp(y.front(), y.back(), (points[kept[i]].bits - first) / width);
    if (chord - y[i] <= most) continue;
    most = chord - y[i];
    knee = i;
  }
  return knee;
}

PointChoice decide_point(const std::vector<PointRecord>& points, const PairedOf& select, const PairedOf& confirm,
                         bool allow_tail) {
  PointChoice choice;
  const std::vector<std::size_t> fit = of_short_tail(points, allow_tail, choice);
  if (fit.empty())
    fail(Fault::check,
         "--pareto: in each of {} choices one token in a hundred is off by more than in a uniform output of as many "
         "bytes; give other budgets or more data, or take one with --allow-tail: the same command goes on",
         points.size());
  choice.kept = not_dominated(points, fit, select);
  if (const std::size_t out = fit.size() - choice.kept.size(); out > 0)
    choice.reasons.push_back(
        fmt::format("{} of {} choices are no better than one of no more bytes, beyond {} standard errors", out,
                    fit.size(), noise_errors));
  std::size_t place = knee_of(points, choice.kept);
  const bool has_knee = place < choice.kept.size();
  if (!has_knee) place = choice.kept.size() - 1;
  const PointRecord& best = points[choice.kept[place]];
  choice.reasons.push_back(has_knee ? fmt::format("{} is the knee of {}", best.name, choice.kept.size())
                           : place > 0
                               ? fmt::format("there is no knee among {}: {} has the least KL", place + 1, best.name)
                               : fmt::format("{} is the only one that is left", best.name));
  choice.point = choice.kept[confirmed(points, confirm, allow_tail, place, choice)];
  return choice;
}

}  // namespace strata
