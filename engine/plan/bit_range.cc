#include "engine/plan/bit_range.h"

#include <cmath>

#include "base/error.h"
#include "engine/plan/request_options.h"

namespace strata {
namespace {

// Steps up to the end; sums of steps do not hit it exactly.
std::size_t steps_of(const BitRange& range) {
  constexpr double slack = 1e-9;
  return static_cast<std::size_t>(std::floor((range.to - range.from) / range.step + slack));
}

}  // namespace

std::vector<double> BitRange::bits() const {
  std::vector<double> all;
  for (std::size_t i = 0; i <= steps_of(*this); ++i) all.push_back(from + static_cast<double>(i) * step);
  return all;
}

std::string BitRange::text() const { return fmt::format("{}:{}:{}", from, to, step); }

BitRange parse_bit_range(std::string_view name, std::string_view text) {
  constexpr double least_step = 1e-4;
  const std::size_t first = text.find(':'), second = first == text.npos ? first : text.find(':', first + 1);
  if (second == text.npos || text.find(':', second + 1) != text.npos)
    fail(Fault::usage, "{}: '{}' is not LOW:HIGH:STEP in bits per parameter, such as 4.25:6:0.25", name, text);
  const BitRange range{.from = parse_bits(name, text.substr(0, first)),
                       .to = parse_bits(name, text.substr(first + 1, second - first - 1)),
                       .step = parse_number(name, text.substr(second + 1))};
  if (range.to < range.from)
    fail(Fault::usage, "{}: '{}' ends at {} below its start {}", name, text, range.to, range.from);
  if (range.step < least_step || steps_of(range) >= BitRange::most_points)
    fail(Fault::usage, "{}: '{}' has more than {} budgets; use a larger step", name, text, BitRange::most_points);
  return range;
}

}  // namespace strata
