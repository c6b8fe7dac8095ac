#include "cli/sink.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace strata {

// A log that cannot be written must not end a run of hours: nothing to check here.
Sink stderr_sink() {
  return [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
}

Sink events_sink(std::string folder) {
  return [folder = std::move(folder), made = false](std::string_view text) mutable {
    if (!made) make_directory(folder);
    made = true;
    append_text(join_path(folder, "events.jsonl"), text);
  };
}

void print_result(std::string_view text) {
  const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!whole || std::fflush(stdout) != 0) fail(Fault::io, "standard output: {}", std::strerror(errno));
}

}  // namespace strata
