// What an output takes over from its source code by code, and as what: Linears that are kept, and those whose
// number format is what the source stores already.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/plan/open_model.h"

namespace strata {

struct UnitCopy {
  const NumberFormat* format = nullptr;  // of every Linear of the unit, KEEP where all are dense; nullptr: impossible
  const LinearSpec* subject = nullptr;   // whom `reason` is about
  std::string reason = {};               // why not, or why in another form than asked; may be empty
};

// Looks at scales, of which the copies of fused Linears depend: reads some bytes of the checkpoint.
class Copies {
 public:
  explicit Copies(const OpenModel& model) : model_(model) {}

  // As what the Linears of a unit are copied, when KEEP or a format that stores the same is asked for.
  UnitCopy of(std::span<const LinearSpec* const> unit, const NumberFormat& asked);

 private:
  bool expert_scales_differ();

  const OpenModel& model_;
  std::optional<bool> expert_scales_differ_;  // loaders want one scheme for the experts of all layers
};

}  // namespace strata
