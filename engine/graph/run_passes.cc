#include "engine/graph/run_passes.h"

namespace strata {

std::vector<const PassType*> passes_for(bool calibrate) {
  std::vector<const PassType*> passes;
  if (calibrate) passes = {&pass_type("observe"), &pass_type("propagate")};
  passes.insert(passes.end(), {&pass_type("render"), &pass_type("assemble")});
  return passes;
}

}  // namespace strata
