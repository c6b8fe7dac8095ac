// What the journal in a work directory says of the run that was there before.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/file.h"
#include "engine/output/sink.h"
#include "engine/work/visit_record.h"

namespace strata {

using StepId = std::pair<std::size_t, std::size_t>;  // sweep, visit

struct EarlierRun {
  Fingerprint run;
  PartialOwner owner;
  std::map<StepId, VisitRecord> steps;  // what each one's results were last made for
  std::map<StepId, VisitRecord> last;   // what each one was last read as, made anew since or not

  // nullopt when there is none, or nothing that counts. Error{io} when it cannot be read, Error{mismatch} when it is
  // not for us to read; both say how to `start_over`. `reason`: why some of it does not count.
  static std::optional<EarlierRun> read(const std::string& directory, std::string_view start_over, std::string& reason);
};

// The run id of processes that share an output: all know it without a word.
std::string shared_run_id(const Fingerprint& run);
bool is_shared_run_id(std::string_view id);

std::string journal_path(const std::string& directory);
std::optional<FileIdentity> read_identity(const nlohmann::ordered_json& record, const char* key);

}  // namespace strata
