#include "engine/passes/chosen_assignment.h"

#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/passes/probe_menu.h"
#include "engine/plan/request_options.h"
#include "engine/prices/calibration_length.h"
#include "engine/prices/flip_law.h"
#include "engine/prices/price_tables.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

std::string text_of(const Prices& prices, const Allocation& chosen, const MixedRequest& asked) {
  const double bits = asked.bits > 0 ? asked.bits : prices.bits(chosen.budget);
  return fmt::format(
      "{:.4f} of {:g} bits per parameter over {} units ({} of {} bytes); predicted KL {:.4g} +- {:.2g} nats a "
      "token, at most {:.2g} above the best{}",
      prices.bits(chosen.bytes), bits, prices.units.size(), chosen.bytes, chosen.budget, chosen.cost,
      chosen.standard_error, chosen.gap,
      asked.price == PriceRule::output ? "" : fmt::format(" by {}", price_name(asked.price)));
}

}  // namespace

Assignment chosen_assignment(const PassQuestion& question, const Menu& menu, const Prices& prices,
                             const Allocation& chosen) {
  const MixedRequest& asked = question.request.mixed;
  write_text(join_path(question.request.places.work_directory, work_names::costs), costs_csv(prices, chosen));
  FormatsByModule decided;
  for (std::size_t u = 0; u < menu.units.size(); ++u)
    for (const LinearSpec* linear : menu.units[u].members)
      decided[linear->module] = menu.units[u].options[chosen.option[u]].format;
  Assignment assignment = menu_assignment(question, menu, &decided);
  assignment.prices = prices.made_from.hash();
  assignment.decisions.emplace_back("allocation", text_of(prices, chosen, asked));
  if (std::string jumps = jumps_text(prices); !jumps.empty())
    assignment.decisions.emplace_back("allocation", std::move(jumps));
  if (const std::optional<ShortCalibration> too_short = short_calibration(prices, chosen, asked.price)) {
    if (question.request.assignment.strict) fail(Fault::input, "--strict: {}", too_short->text());
    assignment.decisions.emplace_back("allocation", too_short->text());
  }
  return assignment;
}

}  // namespace strata
