#include "base/trace.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/file.h"

namespace strata {
namespace {

constexpr std::size_t chunk_bytes = 64 << 10;
constexpr unsigned lane_limit = 64;  // rows of one track; what overlaps even more shares the last one

unsigned row_of(Track track, unsigned lane) { return static_cast<unsigned>(track) * lane_limit + lane + 1; }

// Microseconds, exact to the nanosecond.
std::string microseconds(std::int64_t nanoseconds) {
  return fmt::format("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000);
}

// Names come from foreign files too: whatever is not plain ASCII would make the file invalid.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') result += '\\';
    result += letter >= ' ' && letter <= '~' ? letter : '?';
  }
  return result + "\"";
}

}  // namespace

std::string_view track_name(Track track) {
  static constexpr std::array<std::string_view, track_count> names = {"read",   "decode", "compute",
                                                                      "encode", "write",  "compress"};
  return names[static_cast<std::size_t>(track)];
}

Trace::Trace(std::string path) : path_(std::move(path)) {
  write_text(path_, R"([
{"name":"process_name","ph":"M","pid":1,"args":{"name":"strata"}})");
  buffer_.reserve(2 * chunk_bytes);
}

Trace::~Trace() {
  const MutexLock lock(mutex_);
  buffer_ += "\n]\n";
  write_buffer();
}

void Trace::flush() {
  const MutexLock lock(mutex_);
  write_buffer();
}

std::string Trace::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

std::int64_t Trace::now() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_).count();
}

void Trace::begin(Event& event) {
  const MutexLock lock(mutex_);
  Lanes& lanes = lanes_[static_cast<std::size_t>(event.track)];
  event.lane = std::min(static_cast<unsigned>(std::countr_one(lanes.busy)), lane_limit - 1);
  const std::uint64_t bit = std::uint64_t{1} << event.lane;
  if ((lanes.named & bit) == 0) name_row(event);
  lanes.named |= bit;
  lanes.busy |= bit;
  event.start = now();
}

void Trace::name_row(const Event& event) {
  if (!failure_.empty()) return;
  const std::string number = event.lane == 0 ? "" : fmt::format(" {}", event.lane + 1);
  buffer_ += fmt::format(R"(,
{{"name":"thread_name","ph":"M","pid":1,"tid":{0},"args":{{"name":"{1}{2}"}}}},
{{"name":"thread_sort_index","ph":"M","pid":1,"tid":{0},"args":{{"sort_index":{0}}}}})",
                         row_of(event.track, event.lane), track_name(event.track), number);
}

void Trace::end(const Event& event) {
  const std::int64_t ended = now();  // before others that hold the lock have written their events
  const MutexLock lock(mutex_);
  lanes_[static_cast<std::size_t>(event.track)].busy &= ~(std::uint64_t{1} << event.lane);
  if (!failure_.empty()) return;
  std::string arguments;
  const auto add = [&](std::string_view name, auto value) {
    arguments += fmt::format("{}\"{}\":{}", arguments.empty() ? "" : ",", name, value);
  };
  if (event.arguments.layer >= 0) add("layer", event.arguments.layer);
  if (event.arguments.part >= 0) add("part", event.arguments.part);
  if (event.arguments.bytes > 0) add("bytes", event.arguments.bytes);
  buffer_ += fmt::format(R"(,
{{"name":{},"ph":"X","pid":1,"tid":{},"ts":{},"dur":{},"args":{{{}}}}})",
                         quoted(event.name), row_of(event.track, event.lane), microseconds(event.start),
                         microseconds(ended - event.start), arguments);
  if (buffer_.size() >= chunk_bytes) write_buffer();
}

void Trace::write_buffer() {
  if (!failure_.empty() || buffer_.empty()) return;
  try {
    append_text(path_, buffer_);
  } catch (const Error& error) {
    failure_ = error.what();
  }
  buffer_.clear();
}

}  // namespace strata
