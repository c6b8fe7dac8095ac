// Asks propagate, which runs the layer, for the largest input of every Linear.
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

class Observe final : public Pass {
 public:
  void begin_layer(LayerContext& layer) override { layer.observing = true; }
  void run(PartContext& /*part*/) override {}  // propagate does the work
};

}  // namespace

extern const PassType observe{
    .name = "observe",
    .summary = "largest |input| of every Linear, from the forward through the source's weights",
    .version = 1,
    .writes = facts::watch,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<Observe>(); },
};

}  // namespace strata::passes
