#include "engine/run/from_prices.h"

#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "cache/source_identity.h"
#include "engine/plan/output_plan.h"
#include "engine/prices/edited_assignment.h"
#include "engine/prices/prices_file.h"
#include "engine/rounding/rounding.h"
#include "engine/work/work_folder.h"

namespace strata {

namespace {

// Another run may be changing what is read here.
void require_at_rest(const std::string& from) {
  if (is_locked(join_path(from, work_names::lock)))
    fail(Fault::usage, "--from {}: a run works there just now; wait for its end, or stop it", from);
}

// What the prices are of is what the model has, to the byte: nothing is chosen for something else.
void require_of_model(const OpenModel& model, const Prices& prices, const Allocation& chosen,
                      const Assignment& assignment, const std::string& path) {
  std::unordered_map<std::string_view, std::size_t> units;  // of each Linear
  for (const PricedLinear& linear : prices.linears) units[linear.module] = linear.unit;
  std::vector<std::uint64_t> bytes(prices.units.size(), 0);
  std::size_t known = 0;
  for (const Visit& visit : model.visits)
    for (const LinearSpec* linear : visit.linears) {
      const auto unit = units.find(linear->module);
      if (unit == units.end())
        fail(Fault::mismatch, "{}: says nothing of {}, a Linear of the model", path, linear->module);
      ++known;
      if (unit->second == PricedLinear::not_chosen) continue;
      for (const Field& field : written_fields(model.linear(*linear), assignment))
        bytes[unit->second] += field_bytes(field);
    }
  if (known != prices.linears.size())
    fail(Fault::mismatch, "{}: has {} Linears, the model {}", path, prices.linears.size(), known);
  for (std::size_t u = 0; u < bytes.size(); ++u) {
    const PricedOption& option = prices.units[u].options[chosen.option[u]];
    if (bytes[u] != option.bytes)
      fail(Fault::mismatch, "{}: {} in {} takes {} bytes, not {}; it was changed: run again with -b, without --from",
           path, prices.units[u].name, option.format->name, bytes[u], option.bytes);
  }
}

}  // namespace

Assignment assignment_from_prices(const OpenModel& model, const QuantizeRequest& request) {
  const std::string& from = request.mixed.from;
  require_at_rest(from);
  const std::string path = join_path(from, work_names::prices);
  const Prices prices = read_prices(path);
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
  require_of_model(model, prices, chosen, assignment, path);
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
