#include "tests/passes/spread.h"

#include <nlohmann/json.hpp>

namespace strata::test {
namespace {

std::string print(const Spread& values) { return nlohmann::json(values).dump(); }

std::optional<Spread> parse(std::string_view text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  return json.is_object() || json.is_null() ? std::optional(json.is_null() ? Spread() : json.get<Spread>())
                                            : std::nullopt;
}

}  // namespace

extern const Keeping spread_keeping{keeping_by<Spread, print, parse>};

}  // namespace strata::test
