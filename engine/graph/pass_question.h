// What is known of a run while its passes are chosen, counted and named.
#pragma once

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
};

}  // namespace strata
