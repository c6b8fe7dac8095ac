// Divergences as bytes: CBOR, which keeps doubles as they are.
#include "engine/passes/flip_facts.h"

#include <nlohmann/json.hpp>

namespace strata {
namespace {

using Json = nlohmann::json;

std::string print(const FlipDivergences& flips) {
  Json lanes = Json::array();
  for (const FlipDivergence& lane : flips.lanes)
    lanes.push_back({{"units", lane.units}, {"format", lane.format}, {"sums", lane.sums}});
  const std::vector<std::uint8_t> bytes = Json::to_cbor({{"tokens", flips.tokens}, {"lanes", std::move(lanes)}});
  return {bytes.begin(), bytes.end()};
}

std::optional<FlipDivergences> parse(std::string_view text) {
  try {
    const Json json = Json::from_cbor(text);
    FlipDivergences flips{.tokens = json.at("tokens").get<std::vector<std::int64_t>>(), .lanes = {}};
    for (const Json& lane : json.at("lanes"))
      flips.lanes.push_back({lane.at("units").get<std::vector<std::string>>(), lane.at("format").get<std::string>(),
                             lane.at("sums").get<std::vector<double>>()});
    return flips;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

extern const Keeping flip_divergences_keeping{keeping_by<FlipDivergences, print, parse>};

}  // namespace strata
