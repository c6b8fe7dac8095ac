// What passes do with the weights alone, declared as work.
#pragma once

#include "engine/graph/work.h"

namespace strata {

void decode_work(const WorkQuestion& question, WorkSheet& sheet);
// Where the formats are not decided, every unit counts in the smallest that it may have: most of them get it.
void render_work(const WorkQuestion& question, WorkSheet& sheet);
void assemble_work(const WorkQuestion& question, WorkSheet& sheet);

}  // namespace strata
