// A pass that no file of the engine knows of: it has a fact, a cost, a key, and something to learn of its own.
#include "cache/fingerprint.h"
#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "tests/passes/row_counts.h"

namespace strata::passes {
namespace {

class CountRows final : public Pass {
 public:
  // Columns are known while their part is there.
  void part(Desk& desk) override {
    test::RowCounts& counts = desk.make(test::row_counts);
    const Moments& moments = desk.get(facts::moments);
    for (const LinearSpec* linear : desk.part().linears)
      if (const std::vector<float> columns = moments.column_weight(*linear); !columns.empty())
        counts.columns[linear->module] = columns.size();
  }
};

}  // namespace

extern const PassType count_rows{
    .name = "count_rows",
    .summary = "counts the columns that calibration saw",
    .version = 3,
    .reads = {&facts::moments},
    .writes = {&test::row_counts},
    .wanted = [](const PassQuestion& question) { return !question.request.calibration.dataset.empty(); },
    .collects = [](const PassQuestion&, const LinearPlan&) { return Collect::squares; },
    .cost = [](const CostQuestion& question,
               CostSheet& sheet) { sheet.add(Resource::host, "row counts", question.pass.model.linears.size() * 64); },
    .key =
        [](const KeyQuestion& question, Fingerprint& print) {
          print.add("counted", question.pass.request.calibration.add_special_tokens ? "with" : "without");
        },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<CountRows>(); },
};

}  // namespace strata::passes
