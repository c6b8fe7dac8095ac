// What is known of a run while its passes are chosen, counted and named.
#pragma once

#include <span>

#include "engine/plan/assignment.h"
#include "engine/plan/open_model.h"
#include "engine/plan/request.h"

namespace strata {

class LogitsReader;

struct PassQuestion {
  const OpenModel& model;
  const QuantizeRequest& request;
  const Assignment* assignment = nullptr;  // nullptr until the run has computed it
  bool learns = false;                     // samples go through the model, and somebody wants what is seen of them
  LogitsReader* reader = nullptr;          // of a forward that makes logits
  // Of each Linear, by LinearSpec::index: 1 where an earlier run has kept what it is to be. Empty: of none.
  std::span<const char> stored = {};
  std::size_t frontier_lanes = 0;  // choices that --pareto measures: at most, until they are solved for

  bool assembles() const { return !request.mixed.from.empty(); }  // from what another run has kept
  bool is_stored(const LinearSpec& linear) const { return linear.index < stored.size() && stored[linear.index] != 0; }
};

}  // namespace strata
