// The order of passes, from the facts that they read and write, cut into sweeps over the model.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/graph/pass_type.h"

namespace strata {

// One way through the model; its passes share each visit to a layer, in this order.
struct SweepPlan {
  Direction direction = Direction::forward;
  std::vector<const PassType*> passes;
  std::vector<const FactInfo*> keeps;  // what they write and a later sweep wants
  std::vector<const FactInfo*> finds;  // what they want and an earlier sweep kept

  bool writes(const FactInfo& fact) const;
  bool wants(const FactInfo& fact) const;
  HeadUse head_use() const;                              // the most that a pass wants
  const PassType* advancer(const FactInfo& fact) const;  // nullptr when there is none
};

using Facts = std::span<const FactInfo* const>;

// Orders `chosen` so that every pass runs after those that write what it reads or uses; among passes that may run in
// any order, the one that comes first in `chosen` runs first. Pure.
//
// A pass joins the first sweep that has its direction and finds there what it reads. A fact of the whole model is
// known only after the last layer, so that its readers wait for a later sweep; so does a reader of hidden states that
// needs what the pass that advances them writes.
//
// A pass of Direction::any joins every sweep in which one of the others reads what it writes.
//
// `given`: facts that are there before the run, such as an assignment. Error{bug} when the passes do not go together:
// a fact that nobody writes, or two write; two facts of one name; passes that wait for each other; a fact that is
// needed in a later sweep and is not kept.
std::vector<SweepPlan> plan_sweeps(std::span<const PassType* const> chosen, Facts given);

// One block a sweep, one line a pass: "propagate  reads source boundary (assignment)  writes boundary  - summary"; what
// a pass only uses stands in brackets.
std::string graph_text(std::span<const SweepPlan> sweeps);

}  // namespace strata
