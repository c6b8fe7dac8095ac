#include "engine/prices/prices_file.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "engine/plan/tensor_kind.h"
#include "formats/json.h"

namespace strata {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t file_version = 1;
constexpr std::uint64_t most_file_bytes = 512u << 20;
// Sums over all units stay below 2^63.
constexpr std::size_t most_units = std::size_t{1} << 20;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 42;

std::string json_string(std::string_view text) { return compact_json(Json(text)); }

// JSON has no infinity: the error of a price that one sequence gave.
std::string error_text(double error) { return std::isfinite(error) ? fmt::format("{}", error) : "null"; }

std::string option_text(const PricedOption& option) {
  return fmt::format(
      "{{\"format\": {}, \"bytes\": {}, \"cost\": {}, \"standard_error\": {}, \"fisher_trace\": {}, "
      "\"fisher_trace_error\": {}}}",
      json_string(option.format->name), option.bytes, option.output.cost, error_text(option.output.standard_error),
      option.fisher_trace.cost, error_text(option.fisher_trace.standard_error));
}

std::string jump_text(const FlipJump& jump) {
  return fmt::format(
      " \"jump\": {{\"format\": {}, \"nats\": {}, \"standard_error\": {}, \"pooled\": {}, \"together\": {}}},",
      json_string(jump.format->name), jump.nats, error_text(jump.standard_error), jump.pooled, jump.together);
}

std::string unit_line(const PricedUnit& unit) {
  std::string options;
  for (const PricedOption& option : unit.options) options += (options.empty() ? "" : ", ") + option_text(option);
  return fmt::format(
      "{{\"unit\": {}, \"visit\": {}, \"kind\": {}, \"linears\": {}, \"parameters\": {},{}{} \"options\": [{}]}}",
      json_string(unit.name), json_string(unit.visit), json_string(unit.kind), unit.linears, unit.parameters,
      unit.tied ? " \"tied\": true," : "", unit.jump ? jump_text(*unit.jump) : "", options);
}

std::string linear_line(const PricedLinear& linear, const Prices& prices) {
  if (linear.unit != PricedLinear::not_chosen)
    return fmt::format("{{\"linear\": {}, \"unit\": {}}}", json_string(linear.module),
                       json_string(prices.units[linear.unit].name));
  return fmt::format("{{\"linear\": {}, \"format\": {}, \"why\": {}}}", json_string(linear.module),
                     json_string(linear.format->name), json_string(linear.why));
}

class PricesReader {
 public:
  explicit PricesReader(const std::string& path) : path_(path) {}

  Prices read() {
    const std::uint64_t bytes = InputFile(path_).size();
    if (bytes > most_file_bytes)
      fail(Fault::input, "{}: has {} bytes, the limit for such a file is {}", path_, bytes, most_file_bytes);
    const simdjson::padded_string text(read_text(path_));
    dom::parser parser;
    dom::element document;
    if (const auto error = parser.parse(text).get(document); error != simdjson::SUCCESS)
      wrong("", "broken JSON: {}", simdjson::error_message(error));
    const std::string top = "the document";
    if (const std::int64_t version = static_cast<std::int64_t>(count(document, top, "version"));
        version != file_version)
      wrong("\"version\"", "is {}; this program reads version {}", version, file_version);
    Prices prices{.made_from = made_from(document),
                  .tokens = static_cast<std::int64_t>(count(document, top, "tokens")),
                  .sequences = static_cast<std::int64_t>(count(document, top, "sequences")),
                  .probes = static_cast<std::size_t>(count(document, top, "probes")),
                  .flip_tokens = static_cast<std::int64_t>(count(document, top, "flip_tokens")),
                  .other_bytes = count(document, top, "other_bytes")};
    if (document["unseen_bytes"].error() == simdjson::SUCCESS)
      prices.unseen_bytes = count(document, top, "unseen_bytes");
    read_units(list(document, top, "units"), prices);
    read_linears(list(document, top, "linears"), prices);
    return prices;
  }

 private:
  template <typename... Part>
  [[noreturn]] void wrong(std::string_view place, fmt::format_string<Part...> format, Part&&... part) const {
    fail(Fault::input, "{}: {}{}{}", path_, place, place.empty() ? "" : " ",
         fmt::format(format, std::forward<Part>(part)...));
  }

  std::string text(const dom::element& of, std::string_view place, std::string_view key) const {
    std::string_view value;
    if (of[key].get(value) != simdjson::SUCCESS) wrong(place, "has no text \"{}\"", key);
    return std::string(value);
  }
  std::uint64_t count(const dom::element& of, std::string_view place, std::string_view key) const {
    std::uint64_t value = 0;
    if (of[key].get(value) != simdjson::SUCCESS || value > most_bytes)
      wrong(place, "has no whole number \"{}\" of at most {}", key, most_bytes);
    return value;
  }
  double number(const dom::element& of, std::string_view place, std::string_view key) const {
    double value = 0;
    if (of[key].get(value) != simdjson::SUCCESS || !(value >= 0 && std::isfinite(value)))
      wrong(place, "has no number \"{}\" of 0 or more", key);
    return value;
  }
  Price price(const dom::element& of, std::string_view place, std::string_view cost, std::string_view error) const {
    const bool unknown = of[error].is_null();
    return {.cost = number(of, place, cost),
            .standard_error = unknown ? std::numeric_limits<double>::infinity() : number(of, place, error)};
  }
  dom::array list(const dom::element& of, std::string_view place, std::string_view key) const {
    dom::array value;
    if (of[key].get(value) != simdjson::SUCCESS) wrong(place, "has no list \"{}\"", key);
    return value;
  }
  const NumberFormat& format(const dom::element& of, std::string_view place) const {
    const std::string name = text(of, place, "format");
    const NumberFormat* const known = find_number_format(name);
    if (known == nullptr) wrong(place, "names the number format '{}', which this program does not know", name);
    return *known;
  }

  Fingerprint made_from(const dom::element& document) const {
    dom::object parts;
    if (document["made_from"].get(parts) != simdjson::SUCCESS) wrong("the document", "has no object \"made_from\"");
    Fingerprint print;
    for (const auto& [name, value] : parts) {
      std::string_view part;
      if (value.get(part) != simdjson::SUCCESS) wrong("\"made_from\"", "has a value that is no text, \"{}\"", name);
      print.add(name, part);
    }
    if (text(document, "the document", "fingerprint") != print.hash())
      wrong("\"fingerprint\"", "is not that of \"made_from\", {}: it was changed", print.hash());
    return print;
  }

  void read_units(const dom::array& units, Prices& prices) {
    for (const dom::element& json : units) {
      const std::string place = fmt::format("units[{}]", prices.units.size());
      if (prices.units.size() == most_units) wrong(place, "is one more than the limit, {}", most_units);
      PricedUnit unit{.name = text(json, place, "unit"),
                      .visit = text(json, place, "visit"),
                      .linears = 0,  // counted where they stand
                      .parameters = count(json, place, "parameters")};
      if (!units_.emplace(unit.name, prices.units.size()).second) wrong(place, "is {}, which stands twice", unit.name);
      const std::string kind = text(json, place, "kind");
      const auto* const known = std::ranges::find(tensor_kinds, kind);
      if (known == tensor_kinds.end()) wrong(place, "is of the kind '{}', which this program does not know", kind);
      unit.kind = *known;
      if (unit.parameters == 0) wrong(place, "has no parameters");
      for (const dom::element& option : list(json, place, "options")) read_option(option, place, unit);
      if (unit.options.empty()) wrong(place, "has no options");
      if (dom::element jump; json["jump"].get(jump) == simdjson::SUCCESS) read_jump(jump, place, unit);
      if (json["tied"].error() == simdjson::SUCCESS) read_tied(json, place, prices, unit);
      prices.units.push_back(std::move(unit));
    }
    if (prices.units.empty()) wrong("\"units\"", "is empty: nothing can be chosen");
  }

  void read_option(const dom::element& json, std::string_view unit_place, PricedUnit& unit) const {
    const std::string place = fmt::format("{}.options[{}]", unit_place, unit.options.size());
    PricedOption option{.format = &format(json, place), .bytes = count(json, place, "bytes")};
    if (std::ranges::find(unit.options, option.format, &PricedOption::format) != unit.options.end())
      wrong(place, "is {}, which the unit has already", option.format->name);
    option.output = price(json, place, "cost", "standard_error");
    option.fisher_trace = price(json, place, "fisher_trace", "fisher_trace_error");
    unit.options.push_back(option);
  }

  void read_tied(const dom::element& json, std::string_view place, const Prices& prices, PricedUnit& unit) const {
    if (json["tied"].get(unit.tied) != simdjson::SUCCESS) wrong(place, "has a \"tied\" that is not true or false");
    const auto first = std::ranges::find(prices.units, true, &PricedUnit::tied);
    if (unit.tied && first != prices.units.end() &&
        !std::ranges::equal(first->options, unit.options, {}, &PricedOption::format, &PricedOption::format))
      wrong(place, "is tied to {}, which has other formats", first->name);
  }

  void read_jump(const dom::element& json, std::string_view unit_place, PricedUnit& unit) const {
    const std::string place = fmt::format("{}.jump", unit_place);
    const Price price = this->price(json, place, "nats", "standard_error");
    FlipJump jump{.format = &format(json, place), .nats = price.cost, .standard_error = price.standard_error};
    if (std::ranges::find(unit.options, jump.format, &PricedOption::format) == unit.options.end())
      wrong(place, "is in {}, which is none of the unit's options", jump.format->name);
    if (json["pooled"].get(jump.pooled) != simdjson::SUCCESS) wrong(place, "has no \"pooled\" that is true or false");
    jump.together = static_cast<std::size_t>(count(json, place, "together"));
    unit.jump = jump;
  }

  void read_linears(const dom::array& linears, Prices& prices) {
    std::unordered_set<std::string> seen;
    for (const dom::element& json : linears) {
      const std::string place = fmt::format("linears[{}]", prices.linears.size());
      PricedLinear linear{.module = text(json, place, "linear")};
      if (!seen.insert(linear.module).second) wrong(place, "is {}, which stands twice", linear.module);
      if (json["unit"].error() == simdjson::SUCCESS) {
        const std::string name = text(json, place, "unit");
        const auto unit = units_.find(name);
        if (unit == units_.end()) wrong(place, "belongs to {}, which is none of the units", name);
        linear.unit = unit->second;
        ++prices.units[linear.unit].linears;
      } else {
        linear.format = &format(json, place);
        linear.why = text(json, place, "why");
      }
      prices.linears.push_back(std::move(linear));
    }
    for (std::size_t u = 0; u < prices.units.size(); ++u)
      if (prices.units[u].linears == 0) wrong(fmt::format("units[{}]", u), "has no Linear in \"linears\"");
  }

  const std::string& path_;
  std::unordered_map<std::string, std::size_t> units_;
};

}  // namespace

std::string prices_json(const Prices& prices) {
  std::string print = prices.made_from.json();
  print.pop_back();  // the end of its line
  for (std::size_t at = 0; (at = print.find('\n', at)) != print.npos; at += 3) print.insert(at + 1, "  ");
  std::string units, linears;
  for (const PricedUnit& unit : prices.units)
    units += fmt::format("{}\n    {}", units.empty() ? "" : ",", unit_line(unit));
  for (const PricedLinear& linear : prices.linears)
    linears += fmt::format("{}\n    {}", linears.empty() ? "" : ",", linear_line(linear, prices));
  return fmt::format(
      "{{\n  \"version\": {},\n  \"fingerprint\": {},\n  \"made_from\": {},\n  \"tokens\": {},\n  \"sequences\": {},\n"
      "  \"probes\": {},\n  \"flip_tokens\": {},\n  \"other_bytes\": {},\n{}  \"units\": [{}\n  ],\n  \"linears\": "
      "[{}\n  ]\n}}\n",
      file_version, json_string(prices.made_from.hash()), print, prices.tokens, prices.sequences, prices.probes,
      prices.flip_tokens, prices.other_bytes,
      prices.unseen_bytes > 0 ? fmt::format("  \"unseen_bytes\": {},\n", prices.unseen_bytes) : "", units, linears);
}

Prices read_prices(const std::string& path) { return PricesReader(path).read(); }

}  // namespace strata
