// What the probe does on its way back: see engine/passes/probe.cc.
#pragma once

#include "engine/graph/work.h"

namespace strata {

void probe_work(const WorkQuestion& question, WorkSheet& sheet);

}  // namespace strata
