// Moments as bytes, for later sweeps: JSON of the bits of numbers, since it has no NaN.
#include <bit>
#include <nlohmann/json.hpp>

#include "engine/graph/facts.h"
#include "engine/sweep/moments.h"

namespace strata {

std::string Moments::print() const {
  nlohmann::json largest = nlohmann::json::object(), squares = nlohmann::json::object();
  for (const auto& [input, amax] : largest_) largest[input] = std::bit_cast<std::uint32_t>(amax);
  for (const auto& [seen, there] : squares_) {
    nlohmann::json sums = nlohmann::json::array();
    for (const double sum : there.sum) sums.push_back(std::bit_cast<std::uint64_t>(sum));
    squares[seen] = {{"rows", there.rows}, {"sum", std::move(sums)}};
  }
  return nlohmann::json({{"largest", std::move(largest)}, {"squares", std::move(squares)}}).dump();
}

std::optional<Moments> Moments::parse(std::string_view bytes) {
  const nlohmann::json json = nlohmann::json::parse(bytes, nullptr, false);
  if (!json.is_object() || !json.contains("largest") || !json.contains("squares")) return std::nullopt;
  try {
    Moments moments;
    for (const auto& [input, amax] : json["largest"].items())
      moments.largest_[input] = std::bit_cast<float>(amax.get<std::uint32_t>());
    for (const auto& [seen, there] : json["squares"].items()) {
      Squares& squares = moments.squares_[seen];
      squares.rows = there.at("rows").get<std::int64_t>();
      for (const nlohmann::json& sum : there.at("sum"))
        squares.sum.push_back(std::bit_cast<double>(sum.get<std::uint64_t>()));
    }
    return moments;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

static std::string print_moments(const Moments& moments) { return moments.print(); }

extern const Keeping moments_keeping{keeping_by<Moments, print_moments, Moments::parse>};

}  // namespace strata
