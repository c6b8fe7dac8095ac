#include "engine/passes/run_prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

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
#include "engine/prices/list_units.h"
#include "engine/prices/prices_file.h"
#include "engine/prices/unseen.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata {
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

void add_jumps(Prices& prices, const Desk& desk, const Menu& menu) {
  const std::shared_ptr<const FlipDivergences> flips = flips_of(desk, menu);
  if (flips == nullptr) return;
  set_jumps(prices, menu, *flips, [&](std::size_t unit, std::size_t option) {
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
  add_jumps(prices, desk, menu);
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
      "count apart",
      names_of_experts(members), prices.unseen_bytes);
}

}  // namespace

RunPrices price_menu(const Desk& desk, Menu& menu) {
  RunPrices priced{.prices = prices_of(desk, menu), .unseen = ""};
  priced.unseen = set_unseen_aside(desk, menu, priced.prices);
  const QuantizeRequest& request = desk.tools().question.request;
  const std::string& work = request.places.work_directory;
  // Encodings that an earlier run has kept do not go with these prices.
  if (request.mixed.store == Store::none) remove_tree(join_path(work, work_names::renders));
  write_text(join_path(work, work_names::prices), prices_json(priced.prices));
  return priced;
}

}  // namespace strata
