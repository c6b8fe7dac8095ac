#include "engine/measure/measured.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace strata {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json candidate_json(const MeasuredCandidate& candidate) {
  const Divergence& d = candidate.divergence;
  Json json = {{"name", candidate.name}};
  if (candidate.bytes) json["bytes"] = *candidate.bytes;
  if (candidate.bits) json["bits_per_parameter"] = *candidate.bits;
  json["kl_mean"] = number(d.kl_mean);
  json["kl_standard_error"] = number(d.kl_se);
  json["kl_p99"] = number(d.kl_p99);
  json["kl_p999"] = number(d.kl_p999);
  json["top1_agreement"] = number(d.top1_agreement);
  json["perplexity"] = number(d.ppl);
  if (candidate.above_chosen) {
    json["kl_above_chosen"] = number(candidate.above_chosen->difference);
    json["kl_above_chosen_standard_error"] = number(candidate.above_chosen->standard_error);
  }
  return json;
}

Json point_json(const MeasuredPoint& point) {
  Json json = {{"bits_asked", point.bits_asked},
               {"bytes", point.bytes},
               {"bits_per_parameter", number(point.bits)},
               {"predicted_kl", number(point.predicted)},
               {"predicted_standard_error", number(point.predicted_error)},
               {"kl_mean", number(point.measured)},
               {"kl_standard_error", number(point.measured_error)},
               {"kl_p99", number(point.tail)}};
  if (point.selected) json["kl_where_chosen"] = number(*point.selected);
  if (point.selected) json["chosen"] = point.chosen;
  return json;
}

Json move_json(const MeasuredMove& move) {
  return {{"exchange", move.name},
          {"bytes", move.bytes},
          {"predicted_gain", number(move.predicted)},
          {"gain", number(move.select.difference)},
          {"gain_standard_error", number(move.select.standard_error)},
          {"confirmed_gain", number(move.confirm.difference)},
          {"confirmed_gain_standard_error", number(move.confirm.standard_error)},
          {"p", move.p},
          {"taken", move.taken}};
}

}  // namespace

std::string measured_json(const Measured& measured) {
  Json candidates = Json::array();
  for (const MeasuredCandidate& candidate : measured.candidates) candidates.push_back(candidate_json(candidate));
  const Divergence& first = measured.candidates.front().divergence;
  Json json = {{"tokens", measured.tokens},
               {"positions", first.tokens},
               {"source_perplexity", number(first.ppl_reference)},
               {"candidates", std::move(candidates)}};
  if (!measured.frontier.empty()) {
    const Surrogate surrogate = surrogate_of(measured.frontier);
    json["frontier"] = Json::array();
    for (const MeasuredPoint& point : measured.frontier) json["frontier"].push_back(point_json(point));
    json["predicted_beside_measured"] = {
        {"choices", surrogate.points}, {"spearman", number(surrogate.spearman)}, {"bias", number(surrogate.bias)}};
  }
  for (const MeasuredMove& move : measured.moves) json["polish"].push_back(move_json(move));
  return json.dump(2) + "\n";
}

std::vector<std::string> measured_lines(const Measured& measured) {
  std::vector<std::string> lines;
  for (const MeasuredCandidate& one : measured.candidates) {
    const Divergence& d = one.divergence;
    std::string line = fmt::format("{}: KL {:.4g} +- {:.2g} nats a token, p99 {:.3g}, top-1 {:.2f} %", one.name,
                                   d.kl_mean, d.kl_se, d.kl_p99, 100 * d.top1_agreement);
    if (one.bits) line += fmt::format(", {:.4f} bits per parameter", *one.bits);
    if (one.bits && one.above_chosen)
      line += fmt::format("; {:+.3g} +- {:.2g} beside what was chosen", one.above_chosen->difference,
                          one.above_chosen->standard_error);
    if (!one.above_chosen)
      line += fmt::format(", perplexity {:.4g} -> {:.4g}, on {} tokens", d.ppl_reference, d.ppl, d.tokens);
    lines.push_back(std::move(line));
  }
  return lines;
}

void require_tail(const Measured& measured, bool allowed) {
  const MeasuredCandidate& chosen = measured.candidates.front();
  const MeasuredCandidate* best = nullptr;
  for (const MeasuredCandidate& one : measured.candidates)
    if (one.above_chosen && one.bytes && *one.bytes <= *chosen.bytes &&
        (best == nullptr || one.divergence.kl_mean < best->divergence.kl_mean))
      best = &one;
  if (best == nullptr || allowed || chosen.divergence.kl_p99 <= best->divergence.kl_p99) return;
  fail(Fault::check,
       "measured: one token in a hundred is off by {:.4g} nats or more, but by {:.4g} in {}; give another budget or "
       "more data, or take it with --allow-tail: the same command goes on",
       chosen.divergence.kl_p99, best->divergence.kl_p99, best->name);
}

}  // namespace strata
