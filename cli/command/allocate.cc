// strata allocate: formats for another budget, from the prices that a run has left. Reads no model.
#include <fmt/core.h>

#include <array>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/quantize_options.h"
#include "cli/shell_text.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "engine/plan/request_options.h"
#include "engine/prices/allocation_summary.h"
#include "engine/prices/calibration_length.h"
#include "engine/prices/edited_assignment.h"
#include "engine/prices/price_tables.h"
#include "engine/prices/prices_file.h"
#include "engine/work/work_folder.h"

namespace strata::command {
namespace {

struct AllocateOptions {
  std::string work, output, pareto, assignment;
  bool force = false;
  QuantizeRequest request;  // of which the budget alone is said here
};

Prices prices_in(const std::string& work) {
  const std::string path = join_path(work, work_names::prices);
  if (!is_regular_file(path))
    fail(Fault::input, "{}: holds no {}; a run of strata quantize with -b BITS leaves one in its work directory", work,
         work_names::prices);
  return read_prices(path);
}

Json point_json(const Prices& prices, const Allocation& chosen) {
  return {{"bits", prices.bits(chosen.bytes)},
          {"unit_budget", chosen.budget},
          {"unit_bytes", chosen.bytes},
          {"tensor_bytes", chosen.bytes + prices.other_bytes},
          {"predicted_kl", chosen.cost},
          {"standard_error", std::isfinite(chosen.standard_error) ? Json(chosen.standard_error) : Json()},
          {"gap", chosen.gap}};
}

// Beside what somebody has chosen: the best of at most as many bytes.
Allocation best_of(const Prices& prices, const Allocation& chosen, const MixedRequest& asked) {
  std::optional<Allocation> best = Allocator(prices, asked).within(chosen.bytes);
  if (!best) fail(Fault::bug, "{} bytes are too few for what takes them", chosen.bytes);
  return std::move(*best);
}

Json allocation_json(const Prices& prices, const Allocation& chosen, const AllocateOptions& options) {
  const MixedRequest& asked = options.request.mixed;
  Json result = {{"prices", prices.made_from.hash()},
                 {"bits_asked", asked.bits > 0 ? Json(asked.bits) : Json()},
                 {"tensor_bytes_asked", asked.size > 0 ? Json(asked.size) : Json()},
                 {"risk", asked.risk},
                 {"price", price_name(asked.price)}};
  result.update(point_json(prices, chosen));
  if (!options.assignment.empty()) result["gap"] = Json();  // nothing was solved for
  if (!options.assignment.empty()) result["best_predicted_kl"] = best_of(prices, chosen, asked).cost;
  result["formats"] = Json::object();
  for (const KindFormats& kind : formats_by_kind(prices, chosen))
    for (const auto& [name, count] : kind.formats) result["formats"][std::string(kind.kind)][std::string(name)] = count;
  result["sensitive"] = Json::array();
  for (const std::size_t u : most_sensitive(prices, asked.price)) {
    const PricedUnit& unit = prices.units[u];
    const PricedOption &least = unit.options[smallest_option(unit)], &mine = unit.options[chosen.option[u]];
    result["sensitive"].push_back({{"unit", unit.name},
                                   {"cost", least.by(asked.price).cost},
                                   {"in", least.format->name},
                                   {"format", mine.format->name},
                                   {"format_cost", mine.by(asked.price).cost}});
  }
  const std::optional<ShortCalibration> too_short = short_calibration(prices, chosen, options.request.mixed.price);
  result["windows_needed"] = too_short ? Json(too_short->needed) : Json();
  result["output"] = options.output.empty() ? Json() : Json(options.output);
  return result;
}

std::string allocation_text(const Prices& prices, const Allocation& chosen, const AllocateOptions& options) {
  Table table({Align::left, Align::left});
  for (const auto& [key, value] : allocation_facts(prices, chosen, options.request.mixed)) table.row({key, value});
  if (!options.assignment.empty())
    table.row({"best of as many bytes", fmt::format("{:.4g}", best_of(prices, chosen, options.request.mixed).cost)});
  if (const auto too_short = short_calibration(prices, chosen, options.request.mixed.price))
    table.row({"calibration", too_short->text()});
  if (!options.assignment.empty()) {
    table.row({"assignment", options.assignment});
    table.command_row("next", fmt::format("strata quantize --from {} -o OUT --assignment {}", shell_path(options.work),
                                          shell_path(options.assignment)));
  } else if (options.output.empty()) {
    table.row({"assignment", "not written; -o FILE writes one"});
  } else {
    table.row({"assignment", options.output});
    table.command_row(
        "next", fmt::format("strata quantize MODEL -o OUT --dataset FILE --assignment {}", shell_path(options.output)));
  }
  return table.print(result_width());
}

void solve_one(const Prices& prices, const AllocateOptions& options, bool json) {
  const Allocation chosen = options.assignment.empty()
                                ? allocate(prices, options.request.mixed)
                                : edited_allocation(prices, AssignmentFile::read(options.assignment));
  if (!options.output.empty()) write_text(options.output, assignment_json(prices, chosen));
  print_result(json ? json_text(allocation_json(prices, chosen, options)) : allocation_text(prices, chosen, options));
}

Json frontier_json(const Prices& prices, std::span<const FrontierPoint> points, const std::string& output) {
  Json result = {{"prices", prices.made_from.hash()}, {"points", Json::array()}, {"output", output}};
  for (const FrontierPoint& point : points) {
    Json one = {{"bits_asked", point.bits}};
    one.update(point_json(prices, point.allocation));
    one["units_changed"] = point.changes;
    result["points"].push_back(std::move(one));
  }
  return result;
}

std::string frontier_text(const Prices& prices, std::span<const FrontierPoint> points, const std::string& output) {
  Table table({Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.row({"-b", "bits", "tensor bytes", "predicted KL", "+-", "gap", "units changed"});
  for (const FrontierPoint& point : points) {
    const Allocation& chosen = point.allocation;
    table.row({fmt::format("{:g}", point.bits), fmt::format("{:.4f}", prices.bits(chosen.bytes)),
               grouped(chosen.bytes + prices.other_bytes), fmt::format("{:.4g}", chosen.cost),
               fmt::format("{:.2g}", chosen.standard_error), fmt::format("{:.2g}", chosen.gap),
               std::to_string(point.changes)});
  }
  return table.print() + fmt::format("\nwritten to {}\n", output);
}

void solve_many(const Prices& prices, const AllocateOptions& options, bool json) {
  const BitRange range = parse_bit_range("--pareto", options.pareto);
  const std::vector<FrontierPoint> points = frontier(prices, range, options.request.mixed);
  const std::string output = options.output.empty() ? join_path(options.work, work_names::pareto) : options.output;
  write_text(output, pareto_csv(prices, points, options.request.mixed.price));
  print_result(json ? json_text(frontier_json(prices, points, output)) : frontier_text(prices, points, output));
}

void run(AllocateOptions& options, bool json) {
  require_given("WORK", options.work, "the work directory of a run with -b, such as OUT.work");
  options.work = without_trailing_slash(options.work);
  const MixedRequest& asked = options.request.mixed;
  const int budgets = (asked.bits > 0 ? 1 : 0) + (asked.size > 0 ? 1 : 0) + (options.pareto.empty() ? 0 : 1) +
                      (options.assignment.empty() ? 0 : 1);
  if (budgets != 1)
    fail(
        Fault::usage,
        "strata allocate: say one of -b BITS, --target-size SIZE, --pareto LOW:HIGH:STEP and --assignment FILE, not {}",
        budgets == 0 ? "none" : "several");
  if (!options.assignment.empty() && !options.output.empty())
    fail(Fault::usage, "--assignment {}: is what -o would write; leave -o out", options.assignment);
  if (!options.output.empty()) {
    const std::array<std::string, 1> inputs = {join_path(options.work, work_names::prices)};
    require_new_file(options.output, options.force, inputs);
  }
  const Prices prices = prices_in(options.work);
  options.pareto.empty() ? solve_one(prices, options, json) : solve_many(prices, options, json);
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<AllocateOptions>();
  set.group("Options");
  set.positional("WORK", "work directory of a run with -b: OUT.work", options->work);
  for (const char* const name : {"--bits", "--target-size", "--risk", "--price"})
    declare_request_option(set, name, options->request);
  set.text("--pareto", "LOW:HIGH:STEP", "a table of budgets in bits, such as 4.75:6:0.25", options->pareto);
  set.text("--assignment", "FILE", "an edited assignment.json: what it comes to", options->assignment);
  set.text("-o,--output", "FILE", "assignment.json to write, or --pareto's table", options->output);
  set.flag("--force", "replace an existing FILE", options->force);
  return [options](const CommandContext& context) { run(*options, context.common.json); };
}

}  // namespace

extern const Command allocate{
    .name = "allocate",
    .summary = "Choose formats for another budget, from a run's prices.",
    .usage = "WORK -b BITS [-o FILE] [options]",
    .example = "strata allocate llama-mixed.work -b 5 -o assignment.json",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
