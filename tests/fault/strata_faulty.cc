// The strata program on a machine that fails where it is told to.
//   strata_faulty [--fault OP:PATH:N:ACTION]... [--fault-log FILE] COMMAND [options of strata]
//   strata_faulty --serve
// The N-th call (from 1) of operation OP on a path that holds the text PATH meets ACTION: kill-before, kill-after
// (SIGKILL to itself), enospc, eio, or short: a read or write takes half of its bytes. OP is a name of
// base/fault_point.h; PATH may be empty. N may be `N+`: that call and all after it. --fault-log appends a line
// "OP PATH [TO]" before each call, so that a test can count the places where a run can be hit. --serve makes it a
// fork server on its stdin; each run that it starts takes the options above.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/memory.h"
#include "cli/program.h"
#include "tests/fault/fork_server.h"

namespace {

using namespace strata;

struct Plan {
  std::string operation, path;
  std::uint64_t from = 1;
  bool onwards = false;  // the calls after it too
  Interference what;
  std::uint64_t seen = 0;
};

struct Machine {
  std::mutex mutex;
  std::vector<Plan> plans;
  int log = -1;
};

// The hook is a function without arguments of its own.
Machine& machine() {
  static Machine one;
  return one;
}

void write_log(FileOperation operation, std::string_view path, std::string_view to) {
  const std::string line = fmt::format("{} {}{}{}\n", operation_name(operation), path, to.empty() ? "" : " ", to);
  if (::write(machine().log, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(99);
}

Interference hook(FileOperation operation, std::string_view path, std::string_view to) {
  const std::lock_guard lock(machine().mutex);
  if (machine().log >= 0) write_log(operation, path, to);
  std::optional<Interference> met;
  for (Plan& plan : machine().plans) {
    if (plan.operation != operation_name(operation)) continue;
    if (path.find(plan.path) == path.npos && to.find(plan.path) == to.npos) continue;
    const std::uint64_t n = ++plan.seen;
    if (n == plan.from || (plan.onwards && n > plan.from)) met = plan.what;
  }
  return met.value_or(Interference{});
}

std::optional<Interference> action(std::string_view name) {
  if (name == "kill-before") return Interference{.kill_before = true};
  if (name == "kill-after") return Interference{.kill_after = true};
  if (name == "enospc") return Interference{.error = ENOSPC};
  if (name == "eio") return Interference{.error = EIO};
  if (name == "short") return Interference{.short_transfer = true};
  return std::nullopt;
}

bool is_operation(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(FileOperation::enter); ++i)
    if (operation_name(static_cast<FileOperation>(i)) == name) return true;
  return false;
}

// The path may hold colons.
Plan parse_plan(const std::string& text) {
  const std::size_t first = text.find(':');
  const std::size_t last = text.rfind(':');
  const std::size_t middle = last == text.npos || last == 0 ? text.npos : text.rfind(':', last - 1);
  if (first == text.npos || middle == text.npos || middle <= first)
    fail(Fault::usage, "--fault: '{}' is not OP:PATH:N:ACTION", text);
  Plan plan{.operation = text.substr(0, first), .path = text.substr(first + 1, middle - first - 1)};
  std::string_view count = std::string_view(text).substr(middle + 1, last - middle - 1);
  plan.onwards = count.ends_with('+');
  if (plan.onwards) count.remove_suffix(1);
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), plan.from);
  const std::optional<Interference> what = action(std::string_view(text).substr(last + 1));
  if (!is_operation(plan.operation) || error != std::errc() || end != count.data() + count.size() || plan.from < 1 ||
      !what)
    fail(Fault::usage, "--fault: '{}' names an operation, a count or an action that there is not", text);
  plan.what = *what;
  return plan;
}

// Takes our options off the front; without any, the hook stays away.
void set_up(std::vector<std::string>& arguments) {
  std::size_t i = 0;
  for (; i + 1 < arguments.size(); i += 2) {
    if (arguments[i] == "--fault") {
      machine().plans.push_back(parse_plan(arguments[i + 1]));
    } else if (arguments[i] == "--fault-log") {
      machine().log = ::open(arguments[i + 1].c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (machine().log < 0) fail(Fault::usage, "--fault-log: {} cannot be opened", arguments[i + 1]);
    } else {
      break;
    }
  }
  arguments.erase(arguments.begin(), arguments.begin() + static_cast<std::ptrdiff_t>(i));
  if (i > 0) set_fault_hook(hook);
}

int run(std::vector<std::string> arguments) {
  try {
    set_up(arguments);
  } catch (const Error& error) {
    fmt::print(stderr, "strata_faulty: {}\n", error.what());
    return 2;
  }
  return run_program(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  keep_small_blocks();
  if (arguments == std::vector<std::string>{"--serve"}) return test::serve_forks(STDIN_FILENO, run);
  return run(arguments);
}
