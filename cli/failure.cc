#include "cli/failure.h"

#include <csignal>
#include <new>

namespace strata {
namespace {

std::string_view kind_of(Fault fault) {
  switch (fault) {
    case Fault::bug:
      return "internal";
    case Fault::usage:
      return "usage";
    case Fault::budget:
      return "budget";
    case Fault::input:
      return "input";
    case Fault::check:
      return "check";
    case Fault::mismatch:
      return "mismatch";
    case Fault::busy:
      return "busy";
    case Fault::io:
      return "io";
    case Fault::interrupted:
    case Fault::resumable:
      return "interrupted";
  }
  return "internal";
}

// Only the first line: libtorch appends a stack trace.
Failure internal_failure(std::string_view what) {
  what = what.substr(0, what.find('\n'));
  return {"internal", fmt::format("internal error: {}; please report it with the command line", one_line(what)), 1};
}

}  // namespace

int exit_code(Fault fault, int signal) {
  switch (fault) {
    case Fault::bug:
      return 1;
    case Fault::usage:
      return 2;
    case Fault::budget:
      return 4;
    case Fault::input:
      return 5;
    case Fault::check:
      return 6;
    case Fault::mismatch:
      return 7;
    case Fault::busy:
      return 8;
    case Fault::io:
      return 9;
    case Fault::interrupted:
      return 128 + (signal != 0 ? signal : SIGINT);
    case Fault::resumable:
      return 75;  // EX_TEMPFAIL of sysexits.h
  }
  return 1;
}

std::string one_line(std::string_view message) {
  std::string line;
  for (const char c : message) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (!control)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (line.ends_with(' ')) line.pop_back();
  // A megabyte of somebody's broken file helps nobody: subject and way out stand at the ends.
  constexpr std::size_t most = 1200, head = 900, tail = 250;
  if (line.size() > most) line = line.substr(0, head) + " ... " + line.substr(line.size() - tail);
  return line;
}

Failure current_failure(int signal) {
  try {
    throw;
  } catch (const Error& error) {
    if (error.fault == Fault::bug) return internal_failure(error.what());
    return {kind_of(error.fault), one_line(error.what()), exit_code(error.fault, signal)};
  } catch (const Different& different) {
    return {"different", one_line(different.what()), 1};
  } catch (const std::bad_alloc&) {
    return {"budget", "memory: the system has no more; end other programs, or raise the limit of this one (ulimit -v)",
            4};
  } catch (const std::exception& error) {
    return internal_failure(error.what());
  }
}

}  // namespace strata
