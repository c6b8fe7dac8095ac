// Gives every unit its number format: least loss within the budget of bytes.
#include <fmt/format.h>

#include "cache/fingerprint.h"
#include "engine/passes/chosen_assignment.h"
#include "engine/passes/flip_facts.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/run_prices.h"
#include "engine/passes/scores.h"
#include "engine/plan/request_options.h"
#include "engine/prices/allocation.h"
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

class Allocate final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const MixedRequest& asked = question.request.mixed;
    Menu menu = probe_menu(question);
    const RunPrices priced = price_menu(desk, menu);
    Assignment assignment = chosen_assignment(question, menu, priced.prices, allocate(priced.prices, asked));
    if (!priced.unseen.empty()) assignment.decisions.emplace_back("allocation", priced.unseen);
    desk.make(facts::assignment, std::move(assignment));
  }
};

void key(const KeyQuestion& question, Fingerprint& print) {
  const MixedRequest& asked = question.pass.request.mixed;
  print.add("-b", fmt::format("{}", asked.bits));
  print.add("--target-size", std::to_string(asked.size));
  print.add("--risk", fmt::format("{}", asked.risk));
  print.add("--price", price_name(asked.price));
}

}  // namespace

extern const PassType allocate{
    .name = "allocate",
    .summary = "gives every unit the number format that the budget allows",
    .version = 4,
    .direction = Direction::none,
    .reads = {&facts::scores},
    .uses = {&facts::flip_divergences},
    .writes = {&facts::assignment},
    .wanted =
        [](const PassQuestion& question) {
          return question.request.mixed.wanted() && !question.request.mixed.measuring_chooses();
        },
    .key = key,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Allocate>(); },
};

}  // namespace strata::passes
