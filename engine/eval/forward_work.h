// The work directory of a forward: hidden states as they leave each layer, so that the same command goes on where it
// was stopped. What comes of the logits is the caller's: the head is computed again by whoever goes on.
#pragma once

#include <string>

#include "base/budget.h"
#include "base/file.h"
#include "base/reporter.h"
#include "engine/eval/forward_run.h"
#include "engine/graph/run_plan.h"
#include "engine/plan/request.h"
#include "engine/work/run_log.h"
#include "engine/work/sweep_log.h"

namespace strata {

// Error{usage} when the folder may not serve. Touches nothing.
void require_forward_folder(const ForwardOptions& options);

class ForwardWork {
 public:
  // Holds the folder for this process, and looks at what an earlier one left: the same lanes and tokens count.
  // Error{busy} when another run is there. `model`: that of the first lane once more, since a plan owns its own;
  // `sweep`: the only one.
  ForwardWork(const ForwardOptions& options, OpenModel model, const PlannedSweep& sweep);

  SweepLog& log() { return sweep_; }
  bool holds_layers() const { return log_.layers_kept() > 0; }
  std::string scratch_folder() const;     // in it; nothing is left there
  void report(Reporter& reporter) const;  // what is taken over, or why nothing is
  void finish();                          // what is in the folder has served: all but its lock goes

 private:
  const QuantizeRequest request_;
  const FileLock lock_;
  const RunPlan plan_;
  const RunKeys keys_;
  Budget disk_;
  RunLog log_;
  SweepLog& sweep_;
};

}  // namespace strata
