// What passes tell each other of units that were tried alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph/fact.h"

namespace strata {

class Lanes;

// How far the output of a model is from the source's of which only some units are encoded.
struct FlipDivergence {
  std::vector<std::string> units;  // modules of their first members
  std::string format;              // of the first; that of each is its smallest encoding
  std::vector<double> sums;        // of each window: KL of all its tokens, nats
};

// Whole after the head; empty in all visits before.
struct FlipDivergences {
  std::vector<std::int64_t> tokens;  // of each window; the first windows of the calibration data
  std::vector<FlipDivergence> lanes;
};

extern const Keeping flip_divergences_keeping;

namespace facts {

// The source over the first calibration windows, and one lane for each of flip_lanes(), which starts in its layer.
inline constexpr Fact<Lanes> flips{{.name = "flips", .life = Life::run, .moves_on = true, .windows = Windows::flips}};
inline constexpr Fact<FlipDivergences> flip_divergences{
    {.name = "flip_divergences", .life = Life::run, .keeping = &flip_divergences_keeping}};

}  // namespace facts
}  // namespace strata
