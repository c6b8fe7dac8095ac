// What the user of `strata quantize` and `strata plan` asked for.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/reader.h"
#include "cache/boundary_shape.h"
#include "formats/text/dataset.h"

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

}  // namespace strata
