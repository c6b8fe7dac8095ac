// Scores as bytes: CBOR with the bits of the numbers, since they are many.
#include "engine/passes/scores.h"

#include <cstring>
#include <nlohmann/json.hpp>

namespace strata {
namespace {

using Json = nlohmann::json;

Json bits_of(const std::vector<float>& values) {
  std::vector<std::uint8_t> bits(values.size() * sizeof(float));
  if (!bits.empty()) std::memcpy(bits.data(), values.data(), bits.size());
  return Json::binary(std::move(bits));
}

std::string print(const Scores& scores) {
  Json units = Json::array();
  for (const UnitScores& unit : scores.units) {
    Json options = Json::array();
    for (const OptionScores& option : unit.options) {
      options.push_back(
          {{"format", option.format}, {"values", bits_of(option.values)}, {"trace", bits_of(option.trace)}});
    }
    units.push_back({{"unit", unit.unit}, {"reached", unit.reached}, {"options", std::move(options)}});
  }
  const std::vector<std::uint8_t> bytes =
      Json::to_cbor({{"tokens", scores.tokens}, {"probes", scores.probes}, {"units", std::move(units)}});
  return {bytes.begin(), bytes.end()};
}

std::vector<float> floats(const Json& binary) {
  const auto& bits = binary.get_binary();
  std::vector<float> values(bits.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bits.data(), values.size() * sizeof(float));
  return values;
}

std::optional<Scores> parse(std::string_view text) {
  try {
    const Json json = Json::from_cbor(text);
    Scores scores{.tokens = json.at("tokens").get<std::int64_t>(), .probes = json.at("probes").get<std::size_t>()};
    for (const Json& unit : json.at("units")) {
      UnitScores& mine = scores.units.emplace_back(
          UnitScores{.unit = unit.at("unit").get<std::string>(), .reached = unit.at("reached").get<std::size_t>()});
      for (const Json& option : unit.at("options"))
        mine.options.push_back(
            {option.at("format").get<std::string>(), floats(option.at("values")), floats(option.at("trace"))});
    }
    return scores;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

extern const Keeping scores_keeping{keeping_by<Scores, print, parse>};

}  // namespace strata
