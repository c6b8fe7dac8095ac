// Decides, from what the first sweep kept of all layers, which Linear gets which format: the more uneven half of the
// units FP8, the rest NVFP4.
#include <algorithm>

#include "engine/sweep/pass.h"
#include "tests/passes/spread.h"

namespace strata::passes {
namespace {

class ChooseFormats final : public Pass {
 public:
  void end(Desk& desk) override {
    const OpenModel& model = desk.model();
    std::vector<double> all;
    std::vector<std::pair<double, std::vector<const LinearSpec*>>> units;
    for (std::size_t i = 0; i < model.visits.size(); ++i) {
      const auto spread = desk.of_visit(test::spread, i);
      for (const auto& unit : format_units(model.visits[i])) {
        double most = 0;
        for (const LinearSpec* linear : unit)
          if (const auto found = spread->find(linear->module); found != spread->end())
            most = std::max(most, found->second);
        units.emplace_back(most, unit);
        all.push_back(most);
      }
    }
    std::ranges::sort(all);
    AssignmentRequest request{.scheme = test::formats_of_choice[0], .allow_unservable = true};
    for (const auto& [most, unit] : units)
      if (most > all[all.size() / 2])
        for (const LinearSpec* linear : unit)
          if (linear->kind == LinearClass::quantize)
            request.overrides.emplace_back(linear->module, test::formats_of_choice[1]);
    desk.make(facts::assignment, assign_formats(model, request, {.rule = ScaleRule::search, .has_data = true}));
  }
};

}  // namespace

extern const PassType choose_formats{
    .name = "choose_formats",
    .summary = "gives the Linears with the most uneven inputs more bits",
    .direction = Direction::none,
    .reads = {&test::spread},
    .writes = {&facts::assignment},
    .wanted =
        [](const PassQuestion& question) {
          const AssignmentRequest& asked = question.request.assignment;
          return asked.scheme.empty() && asked.file.empty() && !question.request.calibration.dataset.empty();
        },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<ChooseFormats>(); },
};

}  // namespace strata::passes
