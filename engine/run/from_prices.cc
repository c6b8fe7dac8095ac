#include "engine/run/from_prices.h"

#include "base/error.h"
#include "base/file.h"
#include "cache/source_identity.h"
#include "engine/prices/edited_assignment.h"
#include "engine/prices/prices_file.h"
#include "engine/rounding/rounding.h"
#include "engine/work/work_folder.h"

namespace strata {

Assignment assignment_from_prices(const OpenModel& model, const QuantizeRequest& request) {
  const std::string& from = request.mixed.from;
  const Prices prices = read_prices(join_path(from, work_names::prices));
  if (prices.made_from.value("source") != identity_of(model.checkpoint))
    fail(Fault::mismatch,
         "{}: its prices are of another source than {}, or that was changed since; give the folder that they were made "
         "from",
         from, model.checkpoint.directory());
  const std::string& file = request.assignment.file;
  const Allocation chosen =
      file.empty() ? allocate(prices, request.mixed) : edited_allocation(prices, AssignmentFile::read(file));
  FormatsByModule decided;
  for (const PricedLinear& linear : prices.linears) {
    const bool is_chosen = linear.unit != PricedLinear::not_chosen;
    decided[linear.module] =
        is_chosen ? prices.units[linear.unit].options[chosen.option[linear.unit]].format : linear.format;
  }
  AssignmentRequest asked = request.assignment;
  asked.file.clear();
  asked.scheme = prices.units.front().options.front().format->name;  // of what stands nowhere: nothing
  const ScaleRule rule = require_rounding_method(request.rounding.method_name()).rule;
  Assignment assignment = assign_formats(model, asked, {.rule = rule, .has_data = true, .decided = &decided});
  assignment.prices = prices.made_from.hash();
  const std::string how = file.empty() ? fmt::format("of {} bytes", chosen.budget) : fmt::format("bytes, by {}", file);
  const std::string gap = file.empty() ? fmt::format(", at most {:.2g} above the best", chosen.gap) : "";
  assignment.decisions.emplace_back(
      "allocation",
      fmt::format("{:.4f} bits per parameter over {} units ({} {}); predicted KL {:.4g} +- {:.2g} nats a token{}",
                  prices.bits(chosen.bytes), prices.units.size(), chosen.bytes, how, chosen.cost, chosen.standard_error,
                  gap));
  return assignment;
}

}  // namespace strata
