// What a work directory tells about the run in it, also from another process while the run goes on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/work/work_folder.h"

namespace strata {

enum class RunState : std::uint8_t {
  running,      // the lock is held
  finished,     // the output is there
  interrupted,  // stopped on request
  failed,       // ended with an error
  killed,       // ended without a word: SIGKILL, a crash, a power cut
  cleaned,      // did not finish, and `strata clean` removed what it had done
};
std::string_view state_name(RunState state);

// The last run of the folder. Texts are empty and numbers 0 where nothing was recorded.
struct WorkStatus {
  RunState state = RunState::running;
  std::string command, version, model, family;
  std::vector<std::string> arguments;  // as typed after the command
  std::string directory;               // where it was typed
  std::string output;                  // folder that appears when the run is done; empty when that is unknown
  std::string started, last_event;     // UTC, ISO 8601

  std::string pass;   // what the sweep does
  std::string layer;  // the last one that is done
  int layers_done = 0, layers = 0;
  std::vector<std::pair<std::string, double>> times;  // kind and seconds of each layer that this run did in the pass
  std::uint64_t bytes_read = 0, bytes_written = 0;
  std::uint64_t resident = 0;  // bytes of the process after the last layer
  double seconds = 0;          // so far, of this run
  double since_last_event = 0;

  std::string error_kind, error;
  int exit_code = 0;
};

// Reads events.jsonl, whose last line may be torn, and looks at the lock without keeping it. Error{input} when the
// folder holds no run.
WorkStatus read_work_status(const std::string& folder);

// Whether the folder holds files that only a run makes.
bool is_work_directory(const std::string& folder);
void require_recorded_run(const std::string& folder);  // Error{input} when it does not

}  // namespace strata
