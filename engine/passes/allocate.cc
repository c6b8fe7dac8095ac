// Gives every unit its number format: least loss within the budget of bytes.
#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/fingerprint.h"
#include "cache/source_identity.h"
#include "engine/device/compute.h"
#include "engine/passes/chosen_assignment.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/run_prices.h"
#include "engine/passes/scores.h"
#include "engine/plan/request_options.h"
#include "engine/prices/allocation.h"
#include "engine/prices/list_units.h"
#include "engine/prices/prices_file.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata::passes {
namespace {

const UnitScores& scores_of(const Scores& scores, const PricedUnit& unit) {
  for (const UnitScores& one : scores.units)
    if (one.unit == unit.name && one.options.size() == unit.options.size()) return one;
  fail(Fault::bug, "{}: has no scores", unit.name);
}

void price(PricedUnit& unit, const Scores& scores) {
  const UnitScores& mine = scores_of(scores, unit);
  for (std::size_t i = 0; i < unit.options.size(); ++i) {
    const OptionScores& option = mine.options[i];
    if (option.values.empty()) continue;
    unit.options[i].output = price_of(option.values, scores.probes, scores.tokens);
    unit.options[i].fisher_trace = price_of(option.trace, 1, scores.tokens);
  }
}

// All that prices depend on.
Fingerprint made_from(const Desk& desk) {
  const PassQuestion& question = desk.tools().question;
  const Checkpoint& source = desk.model().checkpoint;
  Fingerprint print;
  print.add("source", identity_of(source));
  print.add("config.json", Hasher().add(source.config_text()).hex());
  pass_type("probe").key({.pass = question, .visit = desk.model().visits.front()}, print);
  print.add("--boundary", question.request.calibration.boundary == BoundaryType::f32 ? "f32" : "bf16");
  print.add("calibration tokens", desk.tools().tokens == nullptr ? "none" : desk.tools().tokens->hash);
  print.add("libtorch", libtorch_arithmetic());
  return print;
}

Prices prices_of(const Desk& desk, const Menu& menu) {
  const PassQuestion& question = desk.tools().question;
  Prices prices = list_units(desk.model(), menu, question.request.assignment, menu_assignment(question));
  prices.made_from = made_from(desk);
  prices.sequences = question.request.calibration.nsamples;
  for (std::size_t u = 0; u < menu.units.size(); ++u) {
    const std::shared_ptr<const Scores> scores = desk.of_visit(facts::scores, menu.units[u].visit);
    prices.tokens = scores->tokens;
    prices.probes = scores->probes;
    price(prices.units[u], *scores);
  }
  return prices;
}

class Allocate final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const MixedRequest& asked = question.request.mixed;
    const Menu menu = probe_menu(question);
    const Prices prices = price_menu(desk, menu);
    const Allocation chosen = allocate(prices, asked);
    desk.make(facts::assignment, chosen_assignment(question, menu, prices, chosen));
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
    .version = 2,
    .direction = Direction::none,
    .reads = {&facts::scores},
    .writes = {&facts::assignment},
    .wanted =
        [](const PassQuestion& question) {
          return question.request.mixed.wanted() && !question.request.mixed.measuring_chooses();
        },
    .key = key,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Allocate>(); },
};

}  // namespace strata::passes

namespace strata {

Prices price_menu(const Desk& desk, const Menu& menu) {
  Prices prices = passes::prices_of(desk, menu);
  const QuantizeRequest& request = desk.tools().question.request;
  const std::string& work = request.places.work_directory;
  // Encodings that an earlier run has kept do not go with these prices.
  if (request.mixed.store == Store::none) remove_tree(join_path(work, work_names::renders));
  write_text(join_path(work, work_names::prices), prices_json(prices));
  return prices;
}

}  // namespace strata
