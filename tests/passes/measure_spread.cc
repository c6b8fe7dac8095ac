// Sees every layer in a first sweep, before any format is known.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "tests/passes/spread.h"

namespace strata::passes {
namespace {

class MeasureSpread final : public Pass {
 public:
  void part(Desk& desk) override {
    test::Spread& spread = desk.make(test::spread);
    const Moments& moments = desk.get(facts::moments);
    for (const LinearSpec* linear : desk.part().linears) {
      const std::vector<float> squares = moments.column_weight(*linear);
      if (squares.empty()) continue;
      const double mean = std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(squares.size());
      spread[linear->module] = *std::ranges::max_element(squares) / std::max(mean, 1e-30);
    }
  }
};

}  // namespace

extern const PassType measure_spread{
    .name = "measure_spread",
    .summary = "measures how uneven the inputs of Linears are",
    .reads = {&facts::moments},
    .writes = {&test::spread},
    .collects =
        [](const PassQuestion& question, const LinearPlan&) {
          return question.assignment == nullptr ? Collect::amax | Collect::squares : Collect::nothing;
        },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<MeasureSpread>(); },
};

}  // namespace strata::passes
