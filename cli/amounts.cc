#include "cli/amounts.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/bytes.h"

namespace strata {

std::string grouped(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string seconds_text(double seconds) {
  return fmt::format("{:.{}f} s", seconds, seconds < 9.995 ? 2 : seconds < 99.95 ? 1 : 0);
}

std::string about_text(double seconds) {
  constexpr double minute = 60, hour = 3600, day = 86400;
  if (seconds < 1) return "less than 1 s";
  const auto [value, unit] = seconds < 2 * minute ? std::pair(seconds, "s")
                             : seconds < 2 * hour ? std::pair(seconds / minute, "min")
                             : seconds < 2 * day  ? std::pair(seconds / hour, "h")
                                                  : std::pair(seconds / day, "days");
  return fmt::format("about {:.{}f} {}", value, value < 9.95 ? 1 : 0, unit);
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  return fmt::format("{} bytes ({})", grouped(bytes), human_bytes(bytes));
}

}  // namespace strata
