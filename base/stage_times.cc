#include "base/stage_times.h"

#include <fmt/core.h>

#include <cmath>

namespace strata {

std::string_view stage_name(Stage stage) {
  static constexpr std::array<std::string_view, stage_count> names = {
      "read", "decode", "forward", "encode", "compress", "write", "waiting for read", "waiting for write"};
  return names[static_cast<std::size_t>(stage)];
}

void StageTimes::add(Stage stage, double seconds) {
  nanoseconds_[static_cast<std::size_t>(stage)].fetch_add(std::llround(seconds * 1e9), std::memory_order_relaxed);
}

double StageTimes::seconds(Stage stage) const {
  return static_cast<double>(nanoseconds_[static_cast<std::size_t>(stage)].load(std::memory_order_relaxed)) / 1e9;
}

std::string StageTimes::text() const {
  std::string text;
  for (std::size_t i = 0; i < stage_count; ++i) {
    const auto stage = static_cast<Stage>(i);
    if (const double spent = seconds(stage); spent > 0)
      text += fmt::format("{}{} {:.1f} s", text.empty() ? "" : ", ", stage_name(stage), spent);
  }
  return text;
}

}  // namespace strata
