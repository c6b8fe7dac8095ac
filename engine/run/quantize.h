// strata quantize and strata plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/reporter.h"
#include "engine/graph/graph.h"
#include "engine/plan/request.h"
#include "engine/plan/tensor_parallel.h"
#include "engine/sweep/sweep_time.h"

namespace strata {

// What a sweep takes. Bytes by holder.
struct SweepCosts {
  std::size_t lanes = 1;
  std::uint64_t peak_memory = 0, bytes_read = 0;
  std::vector<std::pair<std::string, std::uint64_t>> memory, disk;
  std::optional<SweepTime> time;  // nothing where it was not asked for
};

// Everything that is known before the first weight is read.
struct PlanSummary {
  std::string family;
  int layers = 0, experts = 0;
  bool calibrate = false;          // the run learns from the dataset
  std::uint64_t source_bytes = 0;  // of all tensors
  std::uint64_t output_bytes = 0;  // of the output folder, every file; at most, where the run chooses formats
  std::uint64_t tensor_bytes = 0;  // of the output's tensors
  int shards = 0;
  double bits_per_parameter = 0;   // over the quantized Linears, scales counted
  std::uint64_t peak_memory = 0;   // bytes, the process's own base included
  std::uint64_t memory_limit = 0;  // bytes that the user allows; 0 = no limit
  std::uint64_t work_disk = 0;     // bytes that the work directory takes at most
  int threads = 1;                 // that compute: fewer than there are where memory is short
  int layers_in_flight = 2;        // that are computed again, at most, when the run is killed
  bool states_in_memory = true;    // hidden states of the calibration windows; else in a scratch file
  bool output_known = true;        // else the run chooses formats: shards, tensors and bits follow
  std::uint64_t bytes_read = 0, bytes_written = 0;
  std::uint64_t free_disk = 0;         // where the output goes; what an interrupted run left there counts as free
  std::uint64_t available_memory = 0;  // that this process may use, what it uses already included
  std::vector<std::pair<std::string, int>> linears_per_format;
  std::vector<std::pair<std::string, std::string>> decisions;  // subject, text
  std::string nothing;            // why nothing is quantized as asked; empty when something is, or was not asked for
  std::vector<SweepPlan> sweeps;  // the passes, in order
  std::vector<SweepCosts> costs;  // of each of them; plan_quantize() knows
  std::size_t units = 0;          // that the run chooses formats of, and how many of them may have which
  std::vector<std::pair<std::string, std::size_t>> options;
  ServingSizes tensor_parallel;  // how many devices each layer can be spread over, whatever is chosen
  std::string data_that_fits;    // where memory is short: "--nsamples 16", with which it would do; empty: nothing known
};

// Leaves nothing anywhere. `measure`: takes a second or so to say how long each sweep takes on this machine.
PlanSummary plan_quantize(const QuantizeRequest& request, bool measure = false);

// Error{usage} when nothing would be quantized although something was asked for, unless that is allowed.
void require_quantized(const PlanSummary& plan, const QuantizeRequest& request);

// Error{budget} with the smallest limit that works when memory or disk do not suffice.
void require_fit(const PlanSummary& plan, const QuantizeRequest& request);

void quantize(const QuantizeRequest& request, Reporter& reporter);

}  // namespace strata
