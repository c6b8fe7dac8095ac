// Finds the best choice for each of several budgets, to be measured beside each other.
#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/passes/flip_facts.h"
#include "engine/passes/frontier_facts.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/run_prices.h"
#include "engine/passes/scores.h"
#include "engine/plan/request_options.h"
#include "engine/prices/frontier.h"
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

class SolveFrontier final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const MixedRequest& asked = question.request.mixed;
    const Prices prices = price_menu(desk, probe_menu(question));
    Frontier& found = desk.make(facts::frontier, Frontier{.prices = prices.made_from.hash(), .lanes = {}});
    for (FrontierPoint& point : frontier(prices, *asked.pareto, asked)) {
      if (!found.lanes.empty() && found.lanes.back().allocation.option == point.allocation.option)
        found.lanes.back().bits.push_back(point.bits);
      else
        found.lanes.push_back({.bits = {point.bits}, .allocation = std::move(point.allocation)});
    }
  }
};

void key(const KeyQuestion& question, Fingerprint& print) {
  const MixedRequest& asked = question.pass.request.mixed;
  print.add("--pareto", asked.pareto->text());
  print.add("--risk", fmt::format("{}", asked.risk));
  print.add("--price", price_name(asked.price));
}

}  // namespace

extern const PassType solve_frontier{
    .name = "solve_frontier",
    .summary = "gives every unit the number format that each of several budgets allows",
    .version = 1,
    .direction = Direction::none,
    .reads = {&facts::scores},
    .uses = {&facts::flip_divergences},
    .writes = {&facts::frontier},
    .wanted = [](const PassQuestion& question) { return question.request.mixed.pareto && question.request.measures(); },
    .key = key,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<SolveFrontier>(); },
};

}  // namespace strata::passes
