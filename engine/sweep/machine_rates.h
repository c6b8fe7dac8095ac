// What this machine does in a second, by a short measurement: about a second for what a run of a large model does.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/reader.h"
#include "engine/graph/work.h"
#include "engine/rounding/rounding.h"

namespace strata {

struct RateQuestion {
  const RoundingMethod& method;
  ScaleRule rule = ScaleRule::minmax;
  bool columns = false;  // errors of columns are weighed
  int threads = 1;
  std::span<const InputFile> files = {};  // of the source
  IoMethod io = IoMethod::automatic;
  std::string folder;  // where the run writes
};

class MachineRates {
 public:
  // Measures what rows of `sheets` are of, all threads at once: each size, format and kind once.
  static MachineRates measure(std::span<const WorkSheet> sheets, const RateQuestion& question);

  // `known`: rows whose amounts are done in one second; what is of no row of these takes no time. `packed`: of a byte
  // of hidden states, what its file has.
  MachineRates(std::vector<WorkRow> known, double packed) : known_(std::move(known)), packed_(packed) {}

  double seconds(const WorkRow& row) const;
  double packed() const { return packed_; }

 private:
  std::vector<WorkRow> known_;
  double packed_;
};

}  // namespace strata
