// Logits of lanes that have come to the head, for a slice of the vocabulary at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "base/interrupt.h"
#include "engine/measure/logits_reader.h"
#include "engine/sweep/head_rows.h"
#include "engine/sweep/lanes.h"

namespace strata {

struct CostQuestion;
struct MovingStates;
class CostSheet;

// What a lane is multiplied with.
using HeadOfLane = std::function<const HeadRows&(std::size_t lane)>;

// Who wants them, for errors, and when to stop.
struct LogitsFor {
  std::string_view pass;
  const StopFlag* stop = nullptr;
};

// Hands the logits of all positions and lanes to `reader`. The heads hold the same rows of the vocabulary. Error{input}
// where some are not finite.
void read_lane_logits(const Lanes& lanes, const HeadOfLane& head_of, const LogitsFor& whom, LogitsReader& reader);

// `models`: with heads of their own.
void lane_logits_cost(const CostQuestion& question, const MovingStates& states, std::size_t models, CostSheet& sheet);

}  // namespace strata
