// What `flips` does, for estimates of time.
#pragma once

#include "engine/graph/work.h"

namespace strata {

void flips_work(const WorkQuestion& question, WorkSheet& sheet);

}  // namespace strata
