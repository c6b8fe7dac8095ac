// What the probe learns of a layer: how much each option of its units changes the model's output. docs/method.md says
// what scores are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph/fact.h"

namespace strata {

class Lanes;

// Of one unit in one format.
struct OptionScores {
  std::string format;
  std::vector<float> values;  // [sequences, probes]; empty where nothing changes
  std::vector<float> trace;   // [sequences]: roots of what the Fisher trace says of each; likewise
};

struct UnitScores {
  std::string unit;         // module of its first member
  std::size_t reached = 0;  // members that a token came to
  std::vector<OptionScores> options;
};

// Of a visit.
struct Scores {
  std::int64_t tokens = 0;  // of all sequences
  std::size_t probes = 0;
  std::vector<UnitScores> units;
};

extern const Keeping scores_keeping;

namespace facts {

inline constexpr Fact<Scores> scores{{.name = "scores", .life = Life::run, .keeping = &scores_keeping}};
// Gradients of the output's random directions with respect to what leaves the layer; one lane a probe.
inline constexpr Fact<Lanes> cotangents{{.name = "cotangents", .life = Life::run, .moves_on = true}};

}  // namespace facts
}  // namespace strata
