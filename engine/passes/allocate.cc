// Gives every unit its number format: least loss within the budget of bytes.
#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "cache/fingerprint.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/scores.h"
#include "engine/solver/knapsack.h"
#include "engine/solver/price.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata::passes {
namespace {

const UnitScores& scores_of(const Scores& scores, const MenuUnit& unit) {
  for (const UnitScores& one : scores.units)
    if (one.unit == unit.members.front()->module && one.options.size() == unit.options.size()) return one;
  fail(Fault::bug, "{}: has no scores", unit.members.front()->module);
}

std::vector<Price> prices_of(const Scores& scores, const MenuUnit& unit) {
  std::vector<Price> prices;
  for (const OptionScores& option : scores_of(scores, unit).options)
    prices.push_back(option.values.empty() ? Price{} : price_of(option.values, scores.probes, scores.tokens));
  return prices;
}

// unit,format,bytes,cost,standard_error,chosen: a line an option.
std::string costs_text(const Menu& menu, const std::vector<std::vector<Price>>& prices, const KnapsackChoice& choice) {
  std::string text = "unit,linears,format,bytes,cost,standard_error,chosen\n";
  for (std::size_t u = 0; u < menu.units.size(); ++u) {
    const MenuUnit& unit = menu.units[u];
    for (std::size_t i = 0; i < unit.options.size(); ++i)
      text += fmt::format("{},{},{},{},{:.9g},{:.3g},{}\n", unit.members.front()->module, unit.members.size(),
                          unit.options[i].format->name, unit.options[i].bytes, prices[u][i].cost,
                          prices[u][i].standard_error, choice.option[u] == i ? "yes" : "");
  }
  return text;
}

class Allocate final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const Menu menu = probe_menu(question);
    std::vector<std::vector<Price>> prices;
    std::vector<KnapsackItem> items;
    for (const MenuUnit& unit : menu.units) {
      prices.push_back(prices_of(*desk.of_visit(facts::scores, unit.visit), unit));
      KnapsackItem& item = items.emplace_back();
      for (std::size_t i = 0; i < unit.options.size(); ++i)
        item.options.push_back({.bytes = unit.options[i].bytes, .loss = prices.back()[i].cost});
    }
    const std::uint64_t budget = menu.budget(question.request.mixed.bits);
    const std::optional<KnapsackChoice> choice = Knapsack(std::move(items)).solve(budget);
    if (!choice) fail(Fault::bug, "a budget of {} bytes is below the smallest of {}", budget, menu.smallest);

    write_text(join_path(question.request.places.work_directory, work_names::costs), costs_text(menu, prices, *choice));
    FormatsByModule decided;
    double variance = 0;
    for (std::size_t u = 0; u < menu.units.size(); ++u) {
      for (const LinearSpec* linear : menu.units[u].members)
        decided[linear->module] = menu.units[u].options[choice->option[u]].format;
      const double error = prices[u][choice->option[u]].standard_error;
      variance += error * error;
    }
    AssignmentRequest request = question.request.assignment;
    request.scheme = question.request.mixed.formats.front();  // of what is not on the menu
    Assignment assignment =
        assign_formats(desk.model(), request, {.rule = probe_rule(question), .has_data = true, .decided = &decided});
    assignment.decisions.emplace_back(
        "allocation",
        fmt::format(
            "{:.4f} of {:g} bits per parameter over {} units ({} of {} bytes); predicted KL {:.4g} +- {:.2g} nats "
            "a token, at most {:.2g} above the best",
            menu.bits(choice->bytes), question.request.mixed.bits, menu.units.size(), choice->bytes, budget,
            choice->loss, std::sqrt(variance), choice->gap()));
    desk.make(facts::assignment, std::move(assignment));
  }
};

}  // namespace

extern const PassType allocate{
    .name = "allocate",
    .summary = "gives every unit the number format that the budget allows",
    .version = 1,
    .direction = Direction::none,
    .reads = {&facts::scores},
    .writes = {&facts::assignment},
    .wanted = [](const PassQuestion& question) { return question.request.mixed.wanted(); },
    .key = [](const KeyQuestion& question,
              Fingerprint& print) { print.add("-b", fmt::format("{}", question.pass.request.mixed.bits)); },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Allocate>(); },
};

}  // namespace strata::passes
