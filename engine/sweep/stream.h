// Takes a planned run through the model, sweep by sweep: holds memory, reader and writer from the first to the last.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/timer.h"
#include "engine/device/tensor_memory.h"
#include "engine/graph/run_plan.h"
#include "engine/sweep/pass.h"
#include "engine/work/sweep_log.h"

namespace strata {

struct StreamInput {
  const TokenRows* tokens = nullptr;           // calibration windows; nullptr without data
  const MeasuredWindows* held_out = nullptr;   // what the result is measured on; nullptr where it is not
  const MeasuredWindows* selection = nullptr;  // what budgets are compared on; likewise
  Timer timer;                                 // since the run began: --deadline counts from there
  Reader* reader = nullptr;                    // nullptr: the one that the request names
};

// What a run works with. All of it outlives the stream.
struct StreamTools {
  Budget& memory;
  StageTimes& times;
  Reporter& reporter;
};

class Stream {
 public:
  // `plan` and `request` outlive it. What the plan learns while it runs, an assignment, later sweeps see.
  Stream(const RunPlan& plan, const QuantizeRequest& request, const StreamInput& input, const StreamTools& tools);
  ~Stream();

  // What is left of a sweep. `output`: where it is laid out. Errors as those of sweep().
  void run(std::size_t index, SweepLog& log, const OutputTools& output);

  // What the run knows of the whole model.
  FactBoard& board() { return board_; }

  void finish();  // all sweeps are done: what was written is on its way no more

 private:
  Boundary make_states(const BoundaryShape& shape);
  void set_out_lanes(const PlannedSweep& sweep, const SweepLog& log);
  Reader& reader();
  std::vector<Part> parts_to_compute(const PlannedSweep& sweep, const SweepLog& log) const;

  const RunPlan& plan_;
  const QuantizeRequest& request_;
  const StreamInput input_;
  const StreamTools tools_;
  const Device device_;
  const Lease reserved_;
  TensorMemoryLimit tensors_;
  std::optional<Trace> trace_;
  std::unique_ptr<Reader> own_reader_;
  bool states_in_memory_ = true;
  int next_scratch_ = 0;
  FactBoard board_;
  WriteBehind writer_;
};

}  // namespace strata
