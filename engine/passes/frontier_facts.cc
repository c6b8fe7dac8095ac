#include "engine/passes/frontier_facts.h"

#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace strata {
namespace {

using Json = nlohmann::json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double number_of(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

Json pair_json(const Paired& paired) { return Json::array({number(paired.difference), number(paired.standard_error)}); }

Paired pair_of(const Json& json) { return {number_of(json.at(0)), number_of(json.at(1))}; }

std::string print_frontier(const Frontier& frontier) {
  Json lanes = Json::array();
  for (const auto& [bits, exchange, chosen] : frontier.lanes)
    lanes.push_back({{"bits", bits},
                     {"exchange", exchange},
                     {"option", chosen.option},
                     {"budget", chosen.budget},
                     {"bytes", chosen.bytes},
                     {"cost", number(chosen.cost)},
                     {"jumps", number(chosen.jumps)},
                     {"standard_error", number(chosen.standard_error)},
                     {"gap", number(chosen.gap)}});
  return Json{{"prices", frontier.prices}, {"lanes", std::move(lanes)}}.dump();
}

std::optional<Frontier> parse_frontier(std::string_view bytes) {
  try {
    const Json json = Json::parse(bytes);
    Frontier frontier{.prices = json.at("prices").get<std::string>(), .lanes = {}};
    for (const Json& lane : json.at("lanes"))
      frontier.lanes.push_back({.bits = lane.at("bits").get<std::vector<double>>(),
                                .exchange = lane.at("exchange").get<std::string>(),
                                .allocation = {.option = lane.at("option").get<std::vector<std::uint32_t>>(),
                                               .budget = lane.at("budget").get<std::uint64_t>(),
                                               .bytes = lane.at("bytes").get<std::uint64_t>(),
                                               .cost = number_of(lane.at("cost")),
                                               .jumps = number_of(lane.at("jumps")),
                                               .standard_error = number_of(lane.at("standard_error")),
                                               .gap = number_of(lane.at("gap"))}});
    return frontier;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string print_found(const FrontierFound& found) {
  Json points = Json::array();
  for (const MeasuredPoint& point : found.points)
    points.push_back({{"bits_asked", point.bits_asked},
                      {"bits", point.bits},
                      {"bytes", point.bytes},
                      {"predicted", number(point.predicted)},
                      {"predicted_error", number(point.predicted_error)},
                      {"measured", number(point.measured)},
                      {"measured_error", number(point.measured_error)},
                      {"tail", number(point.tail)},
                      {"selected", point.selected ? number(*point.selected) : Json("none")},
                      {"chosen", point.chosen}});
  Json moves = Json::array();
  for (const MeasuredMove& move : found.moves)
    moves.push_back({{"name", move.name},
                     {"bytes", move.bytes},
                     {"predicted", number(move.predicted)},
                     {"select", pair_json(move.select)},
                     {"confirm", pair_json(move.confirm)},
                     {"p", move.p},
                     {"taken", move.taken}});
  const Json json = {
      {"points", std::move(points)}, {"moves", std::move(moves)}, {"option", found.option}, {"reasons", found.reasons}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<FrontierFound> parse_found(std::string_view bytes) {
  try {
    const Json json = Json::parse(bytes);
    FrontierFound found{.points = {},
                        .moves = {},
                        .option = json.at("option").get<std::vector<std::uint32_t>>(),
                        .reasons = json.at("reasons").get<std::vector<std::string>>()};
    for (const Json& one : json.at("points")) {
      MeasuredPoint& point = found.points.emplace_back();
      point.bits_asked = one.at("bits_asked").get<std::vector<double>>();
      point.bits = number_of(one.at("bits"));
      point.bytes = one.at("bytes").get<std::uint64_t>();
      point.predicted = number_of(one.at("predicted"));
      point.predicted_error = number_of(one.at("predicted_error"));
      point.measured = number_of(one.at("measured"));
      point.measured_error = number_of(one.at("measured_error"));
      point.tail = number_of(one.at("tail"));
      if (!one.at("selected").is_string()) point.selected = number_of(one.at("selected"));
      point.chosen = one.at("chosen").get<bool>();
    }
    for (const Json& one : json.at("moves"))
      found.moves.push_back({.name = one.at("name").get<std::string>(),
                             .bytes = one.at("bytes").get<std::int64_t>(),
                             .predicted = number_of(one.at("predicted")),
                             .select = pair_of(one.at("select")),
                             .confirm = pair_of(one.at("confirm")),
                             .p = number_of(one.at("p")),
                             .taken = one.at("taken").get<bool>()});
    return found;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::string FrontierLane::name() const { return exchange.empty() ? fmt::format("{:g} bits", bits.front()) : exchange; }

extern const Keeping frontier_keeping{keeping_by<Frontier, print_frontier, parse_frontier>};
extern const Keeping frontier_found_keeping{keeping_by<FrontierFound, print_found, parse_found>};

}  // namespace strata
