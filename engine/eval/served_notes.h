// What a simulation of served activations must say beside its figures.
#pragma once

#include "base/reporter.h"
#include "engine/model/served.h"
#include "engine/plan/open_model.h"

namespace strata {

// A decision for each format of the model that the simulated runtime does not load, whose experts it does not load,
// or whose inputs it quantizes on newer hardware although the config says 16 bits. Nothing for ActivationMode::none.
void note_served(const OpenModel& model, ActivationMode activations, Reporter& reporter);

}  // namespace strata
