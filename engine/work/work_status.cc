#include "engine/work/work_status.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "cache/journal.h"

namespace strata {
namespace {

using Json = nlohmann::json;

// Getters that take nothing for granted: a record may be of another version, or damaged.
std::string text_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

double number_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : 0;
}

std::uint64_t bytes_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

int count_of(const Json& line, const char* key) {
  return static_cast<int>(std::clamp(number_of(line, key), -1.0, 1e6));
}

// An event, or null. A run that was killed while it wrote leaves half a line, and the next run's first event stands
// right behind it.
Json parse_event(std::string_view line) {
  constexpr std::string_view start = R"({"event":)";
  if (!is_shallow(line)) return {};
  Json event = Json::parse(line, nullptr, false);
  if (!event.is_discarded()) return event.is_object() ? event : Json();
  const std::size_t again = line.rfind(start);
  if (again == 0 || again == std::string_view::npos) return {};
  return parse_event(line.substr(again));
}

// Seconds since 1970 of "2026-01-31T12:00:00.250Z"; nullopt when it is something else.
std::optional<double> parse_time(const std::string& text) {
  std::tm time = {};
  int milliseconds = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &time.tm_year, &time.tm_mon, &time.tm_mday,
                  &time.tm_hour, &time.tm_min, &time.tm_sec, &milliseconds) != 7)
    return std::nullopt;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return static_cast<double>(timegm(&time)) + milliseconds / 1000.0;
}

// Clocks may go backwards between two events: never less than nothing.
double seconds_between(const std::string& from, std::optional<double> to) {
  const std::optional<double> start = parse_time(from);
  return start && to ? std::max(*to - *start, 0.0) : 0;
}

double now_seconds() {
  using namespace std::chrono;
  return static_cast<double>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()) / 1000;
}

void start_run(WorkStatus& status, const Json& line) {
  status = {};
  status.command = text_of(line, "command");
  status.version = text_of(line, "version");
  status.model = text_of(line, "model");
  status.family = text_of(line, "family");
  status.directory = text_of(line, "directory");
  status.started = text_of(line, "time");
  const auto arguments = line.find("arguments");
  if (arguments == line.end() || !arguments->is_array()) return;
  for (const Json& word : *arguments)
    if (word.is_string()) status.arguments.push_back(word.get<std::string>());
}

void add_layer(WorkStatus& status, const Json& line) {
  status.layer = text_of(line, "name");
  status.layers_done = count_of(line, "index") + 1;
  status.layers = count_of(line, "total");
  status.times.emplace_back(text_of(line, "kind"), number_of(line, "seconds"));
  status.bytes_read += bytes_of(line, "bytes_read");
  status.bytes_written += bytes_of(line, "bytes_written");
  status.resident = bytes_of(line, "resident");
}

void add_error(WorkStatus& status, const Json& line) {
  status.error_kind = text_of(line, "kind");
  status.error = text_of(line, "message");
  status.exit_code = count_of(line, "exit_code");
  status.state = status.error_kind == "interrupted" ? RunState::interrupted : RunState::failed;
}

// Whether the event ends its run.
bool add_event(WorkStatus& status, const Json& line) {
  const std::string event = text_of(line, "event");
  if (event == "run_start") start_run(status, line);
  status.last_event = text_of(line, "time");
  if (event == "pass_start") {
    status.pass = text_of(line, "name");
    status.layers = count_of(line, "layers");
    status.layers_done = count_of(line, "done");
    status.times.clear();
  } else if (event == "layer") {
    add_layer(status, line);
  } else if (event == "error") {
    add_error(status, line);
  } else if (event == "run_end") {
    status.state = RunState::finished;
    status.seconds = number_of(line, "seconds");
  } else if (event == "clean" && status.state != RunState::finished) {
    status.state = RunState::cleaned;
  }
  return event == "error" || event == "run_end" || event == "clean";
}

}  // namespace

std::string_view state_name(RunState state) {
  constexpr std::array<std::string_view, 6> names = {"running", "finished", "interrupted",
                                                     "failed",  "killed",   "cleaned"};
  return names[static_cast<std::size_t>(state)];
}

bool is_work_directory(const std::string& folder) {
  if (!is_directory(folder)) return false;
  JournalMiss miss;
  const std::string journal = join_path(folder, work_names::journal);
  return exists(join_path(folder, work_names::events)) || !recorded_places(folder).output.empty() ||
         (exists(journal) && read_journal(journal, miss));
}

void require_recorded_run(const std::string& folder) {
  if (is_work_directory(folder)) return;
  const std::string beside = folder + ".work";
  fail(Fault::input, "{}: is not the work directory of a run{}", folder,
       is_work_directory(beside) ? fmt::format(" (did you mean {}?)", beside) : ", OUT.work or what -w named");
}

WorkStatus read_work_status(const std::string& folder) {
  const std::string lock = join_path(folder, "lock"), events = join_path(folder, "events.jsonl");
  // Before the events, since a run that ends in between has then written its last one; and after, for one that begins.
  const bool locked = is_directory(folder) && is_locked(lock);
  if (!locked) require_recorded_run(folder);

  WorkStatus status;
  bool started = false, ended = false;
  const std::string text = exists(events) ? read_text(events) : "";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const Json event = parse_event(std::string_view(text).substr(at, end - at));
    at = end + 1;
    if (event.is_null()) continue;
    const bool starts = text_of(event, "event") == "run_start";
    started |= starts;
    if (started) ended = add_event(status, event) || (ended && !starts);
  }
  if (!started && !locked) fail(Fault::input, "{}: no run has begun there", events);
  if (!ended) status.state = locked || is_locked(lock) ? RunState::running : RunState::killed;
  status.output = recorded_places(folder).output;
  status.since_last_event = seconds_between(status.last_event, now_seconds());
  if (status.state != RunState::finished)
    status.seconds = seconds_between(status.started, status.state == RunState::running ? std::optional(now_seconds())
                                                                                       : parse_time(status.last_event));
  return status;
}

}  // namespace strata
