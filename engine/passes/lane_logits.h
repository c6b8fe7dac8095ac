// Logits of lanes that have come to the head, for a slice of the vocabulary at a time.
#pragma once

#include <cstddef>
#include <functional>

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

// Hands the logits of all positions and lanes to `reader`. The heads hold the same rows of the vocabulary.
void read_lane_logits(const Lanes& lanes, const HeadOfLane& head_of, const StopFlag* stop, LogitsReader& reader);

// `models`: with heads of their own.
void lane_logits_cost(const CostQuestion& question, const MovingStates& states, std::size_t models, CostSheet& sheet);

}  // namespace strata
