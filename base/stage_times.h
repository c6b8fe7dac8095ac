// How long a run was busy with what, and how long it waited for what. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/timer.h"

namespace strata {

enum class Stage : std::uint8_t {
  read,
  decode,
  forward,
  encode,
  compress,
  write,
  wait_for_read,   // computing stood still until bytes arrived
  wait_for_write,  // computing stood still until a place to write to was free
};
inline constexpr std::size_t stage_count = 8;

std::string_view stage_name(Stage stage);  // "read", "waiting for read"

class StageTimes {
 public:
  // Stages that several threads are in at once count the seconds of each.
  void add(Stage stage, double seconds);
  double seconds(Stage stage) const;
  // "read 12.1 s, forward 80.0 s, waiting for read 0.4 s": the stages that took any time, in their order.
  std::string text() const;

  // Counts the time from its making to its end, an exception included. `times` may be nullptr.
  class Span {
   public:
    Span(StageTimes* times, Stage stage) : times_(times), stage_(stage) {}
    ~Span() {
      if (times_ != nullptr) times_->add(stage_, timer_.seconds());
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    StageTimes* times_;
    Stage stage_;
    Timer timer_;
  };

 private:
  std::array<std::atomic<std::int64_t>, stage_count> nanoseconds_ = {};
};

}  // namespace strata
