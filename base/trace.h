// What the threads of a run did when, as a file of Chrome trace events (JSON array format) that ui.perfetto.dev shows.
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU describes the format.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace strata {

// Events of one kind stand below each other: "encode", and "encode 2" where two overlap.
enum class Track : std::uint8_t { read, decode, compute, encode, write, compress };
inline constexpr std::size_t track_count = 6;

std::string_view track_name(Track track);

// What is known of an event beside its name; what is negative or 0 is left out.
struct TraceArguments {
  int layer = -1;
  int part = -1;  // of the layer
  std::uint64_t bytes = 0;
};

// Thread-safe. Events go to the file when 64 KiB of them have come together and at the end; until then, and after a
// kill, the file is an array that nobody closed, which viewers read. A disk that is full later on does not end the run:
// the trace stops there, and failure() says why.
class Trace {
  struct Event {
    std::string_view name;
    TraceArguments arguments;
    Track track;
    unsigned lane = 0;
    std::int64_t start = 0;  // nanoseconds since the trace began
  };

 public:
  explicit Trace(std::string path);  // starts the file anew; Error{io} when it cannot be made
  ~Trace();                          // closes the array
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void flush();                 // everything that has ended is in the file, unless writing fails
  std::string failure() const;  // why the trace stopped; empty while it goes on

  // An event from its making to its end, an exception included. Costs nothing when `trace` is nullptr. `name` and
  // the trace outlive it.
  class Span {
   public:
    Span(Trace* trace, Track track, std::string_view name, TraceArguments arguments = {})
        : trace_(trace), event_{.name = name, .arguments = arguments, .track = track} {
      if (trace_ != nullptr) trace_->begin(event_);
    }
    ~Span() {
      if (trace_ != nullptr) trace_->end(event_);
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

    void set_bytes(std::uint64_t bytes) { event_.arguments.bytes = bytes; }  // when they are known at the end only

   private:
    Trace* trace_;
    Event event_;
  };

 private:
  // Viewers draw events of one row that overlap wrongly, so that each takes the first row of its track that is free.
  struct Lanes {
    std::uint64_t busy = 0, named = 0;  // a bit for each
  };

  std::int64_t now() const;
  void begin(Event& event);
  void end(const Event& event);
  void name_row(const Event& event) STRATA_REQUIRES(mutex_);
  void write_buffer() STRATA_REQUIRES(mutex_);

  const std::string path_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  mutable Mutex mutex_;
  std::array<Lanes, track_count> lanes_ STRATA_GUARDED_BY(mutex_) = {};
  std::string buffer_ STRATA_GUARDED_BY(mutex_);
  std::string failure_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata
