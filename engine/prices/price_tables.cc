#include "engine/prices/price_tables.h"

#include <algorithm>

#include "engine/plan/request_options.h"
#include "engine/prices/flip_law.h"

namespace strata {
namespace {

std::string measured_columns(std::span<const MeasuredPoint> measured, double bits) {
  for (const MeasuredPoint& point : measured)
    if (std::ranges::find(point.bits_asked, bits) != point.bits_asked.end())
      return fmt::format("{:.9g},{:.3g},{:.3g},{}", point.measured, point.measured_error, point.tail,
                         point.chosen ? "yes" : "");
  return ",,,";
}

}  // namespace

std::string costs_csv(const Prices& prices, const Allocation& allocation) {
  const std::string print = prices.made_from.hash();
  std::string text =
      "unit,linears,format,bytes,cost,standard_error,fisher_trace,fisher_trace_error,jump,chosen,prices\n";
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    const PricedUnit& unit = prices.units[u];
    for (std::size_t i = 0; i < unit.options.size(); ++i) {
      const PricedOption& option = unit.options[i];
      text += fmt::format("{},{},{},{},{:.9g},{:.3g},{:.9g},{:.3g},{:.9g},{},{}\n", unit.name, unit.linears,
                          option.format->name, option.bytes, option.output.cost, option.output.standard_error,
                          option.fisher_trace.cost, option.fisher_trace.standard_error, jump_of(unit, i),
                          allocation.option[u] == i ? "yes" : "", print);
    }
  }
  return text;
}

std::string pareto_csv(const Prices& prices, std::span<const FrontierPoint> points, PriceRule rule,
                       std::span<const MeasuredPoint> measured) {
  const std::string print = prices.made_from.hash();
  std::string text =
      "bits_asked,bits,unit_bytes,tensor_bytes,predicted_kl,standard_error,gap,units_changed,measured_kl,"
      "measured_error,measured_p99,chosen,price,prices\n";
  for (const FrontierPoint& point : points) {
    const Allocation& chosen = point.allocation;
    text += fmt::format("{:g},{:.6f},{},{},{:.9g},{:.3g},{:.3g},{},{},{},{}\n", point.bits, prices.bits(chosen.bytes),
                        chosen.bytes, chosen.bytes + prices.other_bytes, chosen.cost, chosen.standard_error, chosen.gap,
                        point.changes, measured_columns(measured, point.bits), price_name(rule), print);
  }
  return text;
}

}  // namespace strata
