// Which units are tried alone, and where: lanes of `flips`, that run beside the source through what is behind the unit.
// docs/method.md, "Where tokens change experts", says what for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/graph/pass_question.h"
#include "engine/plan/menu.h"

namespace strata {

// One unit in its smallest encoding, or some of one kind in layers that follow each other.
struct FlipLane {
  std::vector<std::size_t> units;  // of Menu::units, in the order of visits
  std::size_t starts = 0;          // visit of the first
};

// The first option of least bytes that is not the source itself; Error{bug} where a unit has none.
std::size_t smallest_encoding(const MenuUnit& unit);

// Windows of the calibration data that lanes run over: as few as hold --flip-tokens.
std::int64_t flip_windows(const QuantizeRequest& request, std::int64_t samples, std::int64_t tokens);

// A lane for each unit that has a router behind it; units share lanes where more would take longer than
// most_flip_forwards of the calibration data, or more bytes of hidden states than most_flip_states times those of it
// and than least_flip_bytes. None where nobody asks for prices, or no token can change its experts.
inline constexpr double most_flip_forwards = 6, most_flip_states = 4, least_flip_bytes = 1u << 30;
std::vector<FlipLane> flip_lanes(const PassQuestion& question, const Menu& menu);

}  // namespace strata
