// Gives every unit its number format: least loss within the budget of bytes.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/fingerprint.h"
#include "cache/source_identity.h"
#include "engine/device/compute.h"
#include "engine/passes/flip_facts.h"
#include "engine/passes/flip_jumps.h"
#include "engine/passes/flip_lanes.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/scores.h"
#include "engine/plan/request_options.h"
#include "engine/prices/allocation.h"
#include "engine/prices/calibration_length.h"
#include "engine/prices/list_units.h"
#include "engine/prices/price_tables.h"
#include "engine/prices/prices_file.h"
#include "engine/prices/unseen.h"
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

// Of each sequence, the sum over its tokens.
std::vector<double> window_prices(const OptionScores& option, std::size_t probes) {
  std::vector<double> sums(option.values.size() / probes, 0.0);
  for (std::size_t i = 0; i < option.values.size(); ++i) {
    const double s = option.values[i];
    sums[i / probes] += s * s / (2 * static_cast<double>(probes));
  }
  return sums;
}

// All that prices depend on.
Fingerprint made_from(const Desk& desk) {
  const PassQuestion& question = desk.tools().question;
  const Checkpoint& source = desk.model().checkpoint;
  Fingerprint print;
  print.add("source", identity_of(source));
  print.add("config.json", Hasher().add(source.config_text()).hex());
  pass_type("probe").key({.pass = question, .visit = desk.model().visits.front()}, print);
  print.add("--flip-tokens", std::to_string(question.request.mixed.flip_tokens));
  print.add("--boundary", question.request.calibration.boundary == BoundaryType::f32 ? "f32" : "bf16");
  print.add("calibration tokens", desk.tools().tokens == nullptr ? "none" : desk.tools().tokens->hash);
  print.add("libtorch", libtorch_arithmetic());
  return print;
}

// Of units that were tried alone; nullptr where none was.
std::shared_ptr<const FlipDivergences> flips_of(const Desk& desk, const Menu& menu) {
  if (flip_lanes(desk.tools().question, menu).empty()) return nullptr;
  const auto head = std::ranges::find(desk.model().visits, Visit::Kind::head, &Visit::kind);
  return desk.of_visit(facts::flip_divergences, static_cast<std::size_t>(head - desk.model().visits.begin()));
}

void set_jumps(Prices& prices, const Desk& desk, const Menu& menu, const FlipDivergences& flips) {
  strata::set_jumps(prices, menu, flips, [&](std::size_t unit, std::size_t option) {
    const std::shared_ptr<const Scores> scores = desk.of_visit(facts::scores, menu.units[unit].visit);
    return window_prices(scores_of(*scores, prices.units[unit]).options[option], scores->probes);
  });
}

Prices prices_of(const Desk& desk, const Menu& menu) {
  const PassQuestion& question = desk.tools().question;
  Prices prices = list_units(desk.model(), menu, question.request.assignment, menu_assignment(question, menu));
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

// Takes units that no token reached out of both; what is to be said of it, or nothing.
std::string set_unseen_aside(const Desk& desk, Menu& menu, Prices& prices) {
  std::vector<char> unseen;
  std::vector<const LinearSpec*> members;
  for (std::size_t u = 0; u < menu.units.size(); ++u) {
    unseen.push_back(scores_of(*desk.of_visit(facts::scores, menu.units[u].visit), prices.units[u]).reached == 0 ? 1
                                                                                                                 : 0);
    if (unseen.back() != 0 && !menu.units[u].tied)
      members.insert(members.end(), menu.units[u].members.begin(), menu.units[u].members.end());
  }
  const std::vector<std::size_t> kept = strata::set_unseen_aside(prices, unseen);
  if (kept.size() == menu.units.size()) return "";
  std::vector<MenuUnit> units;
  for (std::size_t u = 0, next = 0; u < menu.units.size(); ++u) {
    if (next < kept.size() && kept[next] == u) {
      units.push_back(std::move(menu.units[u]));
      ++next;
      continue;
    }
    const MenuOption smallest = *std::ranges::min_element(menu.units[u].options, {}, &MenuOption::bytes);
    menu.units[u].options = {smallest};
    menu.single.push_back(std::move(menu.units[u]));
  }
  menu.units = std::move(units);
  return fmt::format(
      "no token of the data reached {}: they have no price, get their smallest format by rule, and their {} bytes "
      "count "
      "apart",
      names_of_experts(members), prices.unseen_bytes);
}

class Allocate final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const MixedRequest& asked = question.request.mixed;
    Menu menu = probe_menu(question);
    Prices prices = prices_of(desk, menu);
    const std::shared_ptr<const FlipDivergences> flips = flips_of(desk, menu);
    if (flips != nullptr) set_jumps(prices, desk, menu, *flips);
    const std::string unseen = set_unseen_aside(desk, menu, prices);
    const std::string& work = question.request.places.work_directory;
    // Encodings that an earlier run has kept do not go with these prices.
    if (asked.store == Store::none) remove_tree(join_path(work, work_names::renders));
    write_text(join_path(work, work_names::prices), prices_json(prices));
    const Allocation chosen = allocate(prices, asked);
    write_text(join_path(work, work_names::costs), costs_csv(prices, chosen));

    FormatsByModule decided;
    for (std::size_t u = 0; u < menu.units.size(); ++u)
      for (const LinearSpec* linear : menu.units[u].members)
        decided[linear->module] = menu.units[u].options[chosen.option[u]].format;
    Assignment assignment = menu_assignment(question, menu, &decided);
    assignment.prices = prices.made_from.hash();
    const auto decide = [&](std::string text) { assignment.decisions.emplace_back("allocation", std::move(text)); };
    decide(fmt::format(
        "{:.4f} of {:g} bits per parameter over {} units ({} of {} bytes); predicted KL {:.4g} +- {:.2g} nats a "
        "token, at most {:.2g} above the best{}",
        prices.bits(chosen.bytes), asked.size > 0 ? prices.bits(chosen.budget) : asked.bits, menu.units.size(),
        chosen.bytes, chosen.budget, chosen.cost, chosen.standard_error, chosen.gap,
        asked.price == PriceRule::output ? "" : fmt::format(" by {}", price_name(asked.price))));
    if (!unseen.empty()) decide(unseen);
    if (flips != nullptr) decide(jumps_text(prices, *flips));
    if (const std::optional<ShortCalibration> too_short = short_calibration(prices, chosen, asked.price)) {
      if (question.request.assignment.strict) fail(Fault::input, "--strict: {}", too_short->text());
      decide(too_short->text());
    }
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
    .wanted = [](const PassQuestion& question) { return question.request.mixed.wanted(); },
    .key = key,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Allocate>(); },
};

}  // namespace strata::passes
