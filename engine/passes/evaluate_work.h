// What `evaluate` and `store_renders` do, for estimates of time.
#pragma once

#include "engine/graph/work.h"

namespace strata {

void evaluate_work(const WorkQuestion& question, WorkSheet& sheet);
void store_work(const WorkQuestion& question, WorkSheet& sheet);

}  // namespace strata
