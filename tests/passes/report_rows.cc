// Looks at what count_rows kept of every layer, once the sweep is over.
#include "engine/sweep/pass.h"
#include "tests/passes/row_counts.h"

namespace strata::passes {
namespace {

class ReportRows final : public Pass {
 public:
  void end(Desk& desk) override {
    std::size_t linears = 0, columns = 0;
    for (std::size_t visit = 0; visit < desk.model().visits.size(); ++visit)
      if (const auto counts = desk.of_visit(test::row_counts, visit))
        for (const auto& [module, seen] : counts->columns) ++linears, columns += seen;
    desk.decide("row counts", fmt::format("{} Linears, {} columns", linears, columns));
  }
};

}  // namespace

extern const PassType report_rows{
    .name = "report_rows",
    .summary = "sums up what count_rows counted",
    .direction = Direction::none,
    .reads = {&test::row_counts},
    .wanted = [](const PassQuestion& question) { return !question.request.calibration.dataset.empty(); },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<ReportRows>(); },
};

}  // namespace strata::passes
