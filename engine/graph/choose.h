// Which passes a run is made of, and what its forward collects for them.
#pragma once

#include <span>
#include <vector>

#include "engine/graph/pass_type.h"

namespace strata {

// Of `all`, in their order: those that are wanted, and those that write what these read.
std::vector<const PassType*> choose_passes(std::span<const PassType* const> all, const PassQuestion& question);

// Of each Linear, by LinearSpec::index: what any of the passes wants of its input. Linears that see one input have one
// answer, since they share what is learnt of it.
std::vector<Collect> what_to_collect(std::span<const PassType* const> passes, const PassQuestion& question);

}  // namespace strata
