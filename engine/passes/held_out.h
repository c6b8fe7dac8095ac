// Hidden states of the windows that are held out to measure on.
#pragma once

#include "engine/graph/fact.h"

namespace strata {

class Lanes;

namespace facts {

// One lane a candidate, engine/passes/candidates.h.
inline constexpr Fact<Lanes> held_out{
    {.name = "held_out", .life = Life::run, .moves_on = true, .windows = Windows::held_out, .end_stays = true}};

}  // namespace facts
}  // namespace strata
