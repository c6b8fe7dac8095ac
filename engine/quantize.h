// strata quantize and strata plan: what the user asked for.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/reader.h"
#include "base/reporter.h"
#include "cache/boundary_shape.h"
#include "formats/dataset.h"

namespace strata {

// What to do with what an interrupted run left.
enum class Resume : std::uint8_t {
  automatic,  // go on; what no longer fits is computed again
  require,    // go on, or Error{mismatch} naming what differs
  never,      // start over
};

struct QuantizeOptions {
  std::string model;           // folder of the source
  std::string output;          // folder that appears complete or not at all
  std::string work_directory;  // records, journal and hidden states; default "<output>.work"
  std::string scheme;          // number format of every Linear that is not kept; empty: the assignment names all
  std::string method = "scale-search";                         // rounding method
  std::vector<std::string> ignore;                             // patterns: kept as they are
  std::vector<std::pair<std::string, std::string>> overrides;  // pattern -> number format; the last match wins
  std::string dataset;                                         // empty: no calibration
  DatasetPart part = DatasetPart::all;
  bool add_special_tokens = false;
  std::int64_t nsamples = 128, seqlen = 2048;
  std::uint64_t max_memory = 0;   // bytes; 0 = no limit
  bool automatic_memory = false;  // a safe share of what is available, instead of max_memory
  std::uint64_t disk = 0;         // bytes that the work directory may take; 0 = what is free
  BoundaryType boundary = BoundaryType::f32;
  IoMethod io = IoMethod::automatic;
  Resume resume = Resume::automatic;
  bool explain = false;  // say of each layer whether it is taken over, and why not
  std::string trace;     // file for a Chrome trace; empty: none
  double deadline = 0;   // seconds after which no layer is begun that would not be done; 0 = none
  std::uint64_t shard_size = 5'000'000'000;
  std::string device = "cpu";
  int threads = 0;                // 0 = all cores
  bool parity = false;            // scales and codes of compressed-tensors, bit for bit
  std::string assignment;         // assignment.json that says the format of Linears; empty: none
  bool kv_cache_fp8 = false;      // scales for an FP8 cache of keys and values; needs a dataset
  bool allow_unservable = false;  // formats that no runtime loads may be written
  bool strict = false;            // a shape that a format refuses is an error, not a kept Linear
  bool force = false;             // replace an existing output, at the end
  bool allow_nothing = false;     // a run that quantizes nothing, though something was asked for, is done
  const StopFlag* stop = nullptr;
};

// Everything that is known before the first weight is read.
struct PlanSummary {
  std::string family;
  int layers = 0, experts = 0;
  bool calibrate = false;          // the run learns from the dataset
  std::uint64_t source_bytes = 0;  // of all tensors
  std::uint64_t output_bytes = 0;  // of the output folder, every file
  std::uint64_t tensor_bytes = 0;  // of the output's tensors
  int shards = 0;
  double bits_per_parameter = 0;   // over the quantized Linears, scales counted
  std::uint64_t peak_memory = 0;   // bytes, the process's own base included
  std::uint64_t memory_limit = 0;  // bytes that the user allows; 0 = no limit
  std::uint64_t work_disk = 0;     // bytes that the work directory takes at most
  int threads = 1;                 // that compute: fewer than there are where memory is short
  int layers_in_flight = 2;        // that are computed again, at most, when the run is killed
  bool states_in_memory = true;    // hidden states of the calibration windows; else in a scratch file
  std::uint64_t bytes_read = 0, bytes_written = 0;
  std::uint64_t free_disk = 0;         // where the output goes; what an interrupted run left there counts as free
  std::uint64_t available_memory = 0;  // that this process may use, what it uses already included
  std::vector<std::pair<std::string, int>> linears_per_format;
  std::vector<std::pair<std::string, std::string>> decisions;  // subject, text
  std::string nothing;         // why nothing is quantized as asked; empty when something is, or was not asked for
  std::string data_that_fits;  // where memory is short: "--nsamples 16", with which it would do; empty: nothing known
};

PlanSummary plan_quantize(const QuantizeOptions& options);  // touches nothing

// Error{usage} when nothing would be quantized although something was asked for, unless that is allowed.
void require_quantized(const PlanSummary& plan, const QuantizeOptions& options);

// Error{budget} with the smallest limit that works when memory or disk do not suffice.
void require_fit(const PlanSummary& plan, const QuantizeOptions& options);

void quantize(const QuantizeOptions& options, Reporter& reporter);

}  // namespace strata
