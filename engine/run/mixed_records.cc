#include "engine/run/mixed_records.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "engine/plan/assignment_file.h"
#include "engine/prices/price_tables.h"
#include "engine/prices/prices_file.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

constexpr std::string_view records_folder = "strata";

// The work folder in which the formats were chosen.
const std::string& choosing_folder(const QuantizeRequest& request) {
  return request.mixed.from.empty() ? request.places.work_directory : request.mixed.from;
}

std::vector<std::uint32_t> options_of(const Prices& prices, const RunPlan& plan) {
  std::unordered_map<std::string_view, const NumberFormat*> formats;
  for (const Visit& visit : plan.model.visits)
    for (const LinearSpec* linear : visit.linears) formats[linear->module] = &plan.assignment->of(*linear);
  std::vector<std::uint32_t> options(prices.units.size(), 0);
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    const PricedUnit& unit = prices.units[u];
    const auto format = formats.find(unit.name);
    const auto option = format == formats.end()
                            ? unit.options.end()
                            : std::ranges::find(unit.options, format->second, &PricedOption::format);
    if (option == unit.options.end()) fail(Fault::bug, "{}: has a format that was not priced", unit.name);
    options[u] = static_cast<std::uint32_t>(option - unit.options.begin());
  }
  return options;
}

std::uint64_t bytes_of(const RunPlan& plan, const LinearSpec& linear) {
  std::uint64_t bytes = 0;
  for (const Field& field : written_fields(plan.model.linear(linear), *plan.assignment)) bytes += field_bytes(field);
  return bytes;
}

std::string detailed_assignment(const RunPlan& plan, const ChosenRecord& record) {
  std::unordered_map<std::string_view, const PricedLinear*> priced;
  for (const PricedLinear& linear : record.prices.linears) priced[linear.module] = &linear;
  std::vector<NamedFormat> linears;
  for (const Visit& visit : plan.model.visits)
    for (const LinearSpec* linear : visit.linears) {
      NamedFormat& mine = linears.emplace_back(NamedFormat{linear->module, &plan.assignment->of(*linear)});
      mine.bytes = bytes_of(plan, *linear);
      const auto found = priced.find(linear->module);
      if (found == priced.end()) continue;
      if (found->second->unit == PricedLinear::not_chosen) {
        mine.why = found->second->why;
        continue;
      }
      const PricedUnit& unit = record.prices.units[found->second->unit];
      mine.unit = unit.name;
      const Price& price = unit.options[record.chosen.option[found->second->unit]].output;
      mine.cost = price.cost;
      mine.standard_error = price.standard_error;
      mine.why = "chosen";
    }
  return assignment_json(linears, record.prices.made_from.hash());
}

// A file of the work folder that names the prices, or is made of nothing else.
void copy_record(const std::string& work, std::string_view name, const std::string& to) {
  const std::string path = join_path(work, name);
  if (is_regular_file(path)) write_text(join_path(to, name), read_text(path));
}

bool names_prices(const std::string& path, const std::string& prices) {
  return is_regular_file(path) && read_text(path).find(prices) != std::string::npos;
}

}  // namespace

std::optional<ChosenRecord> chosen_record(const RunPlan& plan, const QuantizeRequest& request) {
  if (!plan.assignment || plan.assignment->prices.empty()) return std::nullopt;
  const std::string path = join_path(choosing_folder(request), work_names::prices);
  if (!is_regular_file(path)) return std::nullopt;
  ChosenRecord record{.prices = read_prices(path), .chosen = {}};
  if (record.prices.made_from.hash() != plan.assignment->prices) return std::nullopt;
  record.chosen = allocation_of(record.prices, options_of(record.prices, plan));
  return record;
}

void write_assignment(const RunPlan& plan, const QuantizeRequest& request) {
  const std::optional<ChosenRecord> record = chosen_record(plan, request);
  write_text(join_path(request.places.work_directory, work_names::assignment),
             record ? detailed_assignment(plan, *record) : assignment_json(plan.model, *plan.assignment));
}

void add_records(const RunPlan& plan, const QuantizeRequest& request, const std::string& folder, Reporter& reporter) {
  const bool chose = !plan.assignment->prices.empty() && (request.mixed.wanted() || !request.mixed.from.empty());
  if (!chose || request.places.no_records) return;
  const std::optional<ChosenRecord> record = chosen_record(plan, request);
  if (!record)
    return reporter.decision(join_path(request.places.output, records_folder),
                             fmt::format("left out: {} is not there any more, or another run's",
                                         join_path(choosing_folder(request), work_names::prices)));
  const std::string& work = request.places.work_directory;
  const std::string prices = record->prices.made_from.hash(), to = join_path(folder, records_folder);
  remove_tree(to);  // of a run that was killed just here
  make_directory(to);
  write_text(join_path(to, work_names::assignment), detailed_assignment(plan, *record));
  write_text(join_path(to, work_names::prices), prices_json(record->prices));
  write_text(join_path(to, work_names::costs), costs_csv(record->prices, record->chosen));
  if (request.mixed.wanted() && names_prices(join_path(work, work_names::pareto), prices))
    copy_record(work, work_names::pareto, to);
  if (request.measures()) copy_record(work, work_names::measured, to);
  sync_directory(to);
  sync_directory(folder);
}

}  // namespace strata
