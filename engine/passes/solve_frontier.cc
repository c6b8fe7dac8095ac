// Finds the choices that are measured beside each other: of several budgets, or next to that of one.
#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "cache/fingerprint.h"
#include "engine/passes/flip_facts.h"
#include "engine/passes/frontier_facts.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/run_prices.h"
#include "engine/passes/scores.h"
#include "engine/plan/request_options.h"
#include "engine/prices/exchanges.h"
#include "engine/prices/frontier.h"
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

class SolveFrontier final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const MixedRequest& asked = question.request.mixed;
    Menu menu = probe_menu(question);
    const RunPrices priced = price_menu(desk, menu);
    const Prices& prices = priced.prices;
    if (!priced.unseen.empty())
      fail(Fault::input, "{}: {}; budgets are not compared then: give more data, or keep them with --ignore",
           asked.polish > 0 ? "--polish" : "--pareto", priced.unseen);
    Frontier& found = desk.make(facts::frontier, Frontier{.prices = prices.made_from.hash(), .lanes = {}});
    asked.polish > 0 ? add_exchanges(prices, asked, found) : add_budgets(prices, asked, found);
  }

 private:
  static void add_budgets(const Prices& prices, const MixedRequest& asked, Frontier& found) {
    for (FrontierPoint& point : frontier(prices, *asked.pareto, asked)) {
      if (!found.lanes.empty() && found.lanes.back().allocation.option == point.allocation.option)
        found.lanes.back().bits.push_back(point.bits);
      else
        found.lanes.push_back({.bits = {point.bits}, .exchange = {}, .allocation = std::move(point.allocation)});
    }
  }

  // The choice for the budget, and those next to it.
  static void add_exchanges(const Prices& prices, const MixedRequest& asked, Frontier& found) {
    const Allocation base = allocate(prices, asked);
    found.lanes.push_back({.bits = {prices.bits(base.budget)}, .exchange = {}, .allocation = base});
    for (const Exchange& exchange : best_exchanges(prices, base, asked.price, static_cast<std::size_t>(asked.polish))) {
      Allocation changed = allocation_of(prices, after(base, exchange));
      changed.budget = base.budget;
      changed.gap = std::max(0.0, base.gap + exchange.change);
      found.lanes.push_back(
          {.bits = {}, .exchange = exchange_text(prices, base, exchange), .allocation = std::move(changed)});
    }
  }
};

void key(const KeyQuestion& question, Fingerprint& print) {
  const MixedRequest& asked = question.pass.request.mixed;
  print.add("--pareto", asked.pareto ? asked.pareto->text() : "none");
  print.add("--polish", std::to_string(asked.polish));
  print.add("-b", fmt::format("{}", asked.bits));
  print.add("--target-size", std::to_string(asked.size));
  print.add("--risk", fmt::format("{}", asked.risk));
  print.add("--price", price_name(asked.price));
}

}  // namespace

extern const PassType solve_frontier{
    .name = "solve_frontier",
    .summary = "solves for the choices that are measured beside each other",
    .version = 1,
    .direction = Direction::none,
    .reads = {&facts::scores},
    .uses = {&facts::flip_divergences},
    .writes = {&facts::frontier},
    .wanted =
        [](const PassQuestion& question) {
          const MixedRequest& mixed = question.request.mixed;
          return (mixed.pareto || mixed.polish > 0) && question.request.measures();
        },
    .key = key,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<SolveFrontier>(); },
};

}  // namespace strata::passes
