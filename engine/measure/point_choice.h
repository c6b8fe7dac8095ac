// Which of several measured choices of formats is worth its bytes. docs/method.md has the formulas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/measure/divergence.h"

namespace strata {

// What is known of a choice when one is to be taken: on the windows that choose, and on those that confirm.
struct PointRecord {
  std::string name;
  std::uint64_t bytes = 0;
  double bits = 0;  // the same, per parameter
  Divergence select, confirm;
  // The 99th percentile of the best uniform alternative of at most as many bytes; infinite where there is none.
  double select_tail = 0, confirm_tail = 0;
};

// How far the KL of one point is above that of another, on the windows that choose or those that confirm.
using PairedOf = std::function<Paired(std::size_t point, std::size_t other)>;

struct PointChoice {
  std::size_t point = 0;
  std::vector<std::size_t> kept;     // after dominance, by bytes
  std::vector<std::string> reasons;  // sentences, in the order in which they were decided
};

// Points that another one of no more bytes equals: its measured KL is not higher by more than `noise_errors` standard
// errors of the paired difference. Those that stay, by bytes. Pure.
std::vector<std::size_t> not_dominated(const std::vector<PointRecord>& points, const std::vector<std::size_t>& of,
                                       const PairedOf& above);

// The farthest below the chord of ln KL over bits; of several the one of the fewest bytes. `kept.size()` where none is
// below it. `kept`: by bytes, at least one. Pure.
std::size_t knee_of(const std::vector<PointRecord>& points, const std::vector<std::size_t>& kept);

// Error{check} where the tail of every one is longer than that of a uniform alternative, unless that is allowed.
PointChoice decide_point(const std::vector<PointRecord>& points, const PairedOf& select, const PairedOf& confirm,
                         bool allow_tail);

}  // namespace strata
