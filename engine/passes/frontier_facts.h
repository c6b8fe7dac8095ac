// What --pareto and --polish solve for and measure.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/fact.h"
#include "engine/measure/move_choice.h"
#include "engine/prices/allocation.h"
#include "engine/prices/measured_frontier.h"

namespace strata {

class Lanes;

// A choice that is measured.
struct FrontierLane {
  std::vector<double> bits;  // all budgets that lead to it, per parameter
  std::string exchange;      // of --polish: what it changes of the first; else empty
  Allocation allocation;

  std::string name() const;  // "5 bits", or the exchange
};

struct Frontier {
  std::string prices;  // fingerprint of those that it was solved by
  std::vector<FrontierLane> lanes;
};

// What the visit to the head found; empty for all others.
struct FrontierFound {
  std::vector<MeasuredPoint> points;  // of --pareto, in the order of Frontier::lanes
  std::vector<MeasuredMove> moves;    // of --polish, likewise from the second lane on
  std::vector<std::uint32_t> option;  // of each unit: what is taken
  std::vector<std::string> reasons;
};

extern const Keeping frontier_keeping, frontier_found_keeping;

namespace facts {

inline constexpr Fact<Frontier> frontier{
    {.name = "frontier", .life = Life::run, .whole_model = true, .keeping = &frontier_keeping}};
inline constexpr Fact<FrontierFound> frontier_found{
    {.name = "frontier_found", .life = Life::run, .keeping = &frontier_found_keeping}};
// The source, each choice, each format everywhere: one lane each, where what is measured chooses.
inline constexpr Fact<Lanes> frontier_states{
    {.name = "frontier_states", .life = Life::run, .moves_on = true, .windows = Windows::selection}};

}  // namespace facts
}  // namespace strata
