// What was measured of the candidates of a run: `measured.json` in its work folder.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/measure/divergence.h"
#include "engine/measure/move_choice.h"
#include "engine/prices/measured_frontier.h"

namespace strata {

struct MeasuredCandidate {
  std::string name;                    // "as served", "NVFP4 wherever it is on the menu"
  std::optional<std::uint64_t> bytes;  // of all units that formats are chosen for; nothing for parts of another one
  std::optional<double> bits;          // the same, per parameter
  Divergence divergence;               // from the source
  std::optional<Paired> above_chosen;  // how much its KL is above that of the first
};

struct Measured {
  std::string tokens;                         // hash of the windows
  std::vector<MeasuredCandidate> candidates;  // the chosen one comes first
  std::vector<MeasuredPoint> frontier = {};   // of --pareto
  std::vector<MeasuredMove> moves = {};       // of --polish
};

std::string measured_json(const Measured& measured);

// For people: a line for the chosen one and its parts, and one for each alternative.
std::vector<std::string> measured_lines(const Measured& measured);

// Error{check} where the chosen one is wrong about rare tokens by more than the best alternative of at most as many
// bytes, unless that is allowed.
void require_tail(const Measured& measured, bool allowed);

}  // namespace strata
