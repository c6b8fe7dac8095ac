// What the user of `strata quantize` and `strata plan` asked for. Whoever needs some of it takes that part alone;
// engine/plan/request_options.h is the table of what can be said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/reader.h"
#include "cache/boundary_shape.h"
#include "engine/plan/bit_range.h"
#include "formats/number_format.h"
#include "formats/text/dataset.h"

namespace strata {

// Which files and folders.
struct PlacesRequest {
  std::string model;                         // folder of the source
  std::string output;                        // folder that appears complete or not at all
  std::string work_directory;                // records, journal and hidden states; default "<output>.work"
  std::string trace;                         // file for a Chrome trace; empty: none
  bool force = false;                        // replace an existing output, at the end
  bool no_records = false;                   // what formats were chosen by stays out of the output
  std::uint64_t shard_size = 5'000'000'000;  // tensor bytes in a file
};

// Which Linear gets which format.
struct AssignmentRequest {
  std::string scheme;               // number format of every Linear that is not kept; empty: the file names all
  std::string file;                 // assignment.json that says the format of Linears; empty: none
  std::vector<std::string> ignore;  // patterns: kept as they are
  std::vector<std::pair<std::string, std::string>> overrides;  // pattern -> number format; the last match wins
  bool kv_cache_fp8 = false;      // scales for an FP8 cache of keys and values; needs a dataset
  bool strict = false;            // a shape that a format refuses is an error, not a kept Linear
  bool allow_unservable = false;  // formats that no runtime loads may be written
  bool per_expert = false;        // experts of a layer may have several formats, each expert one
  bool allow_nothing = false;     // what quantizes nothing, though something was asked for, is a decision
};

// Which encoded options of a menu are kept in the work folder.
enum class Store : std::uint8_t {
  automatic,  // those that are made more slowly than read: less than 8 bits a weight
  all,
  none,  // each is made again in every visit that wants it
};

// By what an option of a unit is judged (docs/method.md).
enum class PriceRule : std::uint8_t {
  output,        // what it does to the model's output
  fisher_trace,  // the classical trace of the Fisher information times the mean squared error of the weights
};

// Formats of which a run chooses by measuring, within a budget.
struct MixedRequest {
  double bits = 0;                   // per parameter of the units that are chosen for; 0: not asked in bits
  std::uint64_t size = 0;            // bytes of all tensors of the output; 0: not asked in bytes
  std::optional<BitRange> pareto;    // budgets whose choices are measured beside each other
  int polish = 0;                    // exchanges around the choice that are measured
  double risk = 0;                   // how many standard errors of a price count beside it
  std::vector<std::string> formats;  // the menu, by name
  PriceRule price = PriceRule::output;
  int probes = 8;                    // random directions of the model's output
  std::int64_t flip_tokens = 16384;  // of the data, on which units are tried alone where tokens change experts; 0: none
  Store store = Store::automatic;
  std::string from;  // work folder of an earlier run, whose prices and encoded options are taken; or empty
  Runtime runtime = Runtime::vllm;   // who serves it: its formats are legal, and its rules quantize inputs
  int tensor_parallel = 1;           // devices that each layer is spread over
  double max_source_perplexity = 0;  // of a source on the data, or it prices nothing; 0: vocabulary^0.8

  bool has_budget() const { return bits > 0 || size > 0; }
  bool wanted() const { return from.empty() && (has_budget() || pareto); }  // formats are priced and chosen
  // What is measured decides what is written.
  bool measuring_chooses() const { return wanted() && (!has_budget() || polish > 0); }
  std::string budget_text() const;  // "-b 4.75", "--target-size 5000000" or "--pareto 4:6:1", as messages begin
};

// How codes are chosen.
struct RoundingRequest {
  std::string method;   // empty: scale-search, and rtn where parity leaves nothing to search
  bool parity = false;  // scales and codes of compressed-tensors, bit for bit

  std::string_view method_name() const {
    return !method.empty() ? std::string_view(method) : parity ? "rtn" : "scale-search";
  }
};

// What is learnt from.
struct CalibrationRequest {
  std::string dataset;  // empty: no calibration
  DatasetPart part = DatasetPart::all;
  bool add_special_tokens = false;
  std::int64_t nsamples = 128, seqlen = 2048;
  BoundaryType boundary = BoundaryType::f32;  // hidden states between layers
};

// What the result is measured on.
struct MeasureRequest {
  std::string held_out;          // text that nothing is learnt from; empty: nothing is measured
  std::int64_t tokens = 16'384;  // of it, at most
  bool allow_tail = false;       // a rare error that is larger than that of a uniform output of as many bytes

  static constexpr std::int64_t window = 256;  // tokens, as `strata eval` has them
};

// What it may take. None of it changes a byte, but for the kind of the device.
struct MachineRequest {
  std::uint64_t max_memory = 0;   // bytes; 0 = no limit
  bool automatic_memory = false;  // a safe share of what is available, instead of max_memory
  std::uint64_t disk = 0;         // bytes that the work directory may take; 0 = what is free
  IoMethod io = IoMethod::automatic;
  std::string device = "cpu";
  int threads = 0;  // 0 = all cores
};

// Which part of a run this process does: several, each in a work directory of its own, write one output. Only for runs
// in which no layer needs another one's hidden states.
struct ShareRequest {
  std::size_t node = 0, nodes = 1;
  std::string stem;  // work directories of the nodes: "<stem>.1-of-2"

  bool whole() const { return nodes == 1; }
  bool mine(std::size_t visit) const { return visit % nodes == node; }
  std::string work_directory(std::size_t of_node) const;
};

// What to do with what an interrupted run left.
enum class Resume : std::uint8_t {
  automatic,  // go on; what no longer fits is computed again
  require,    // go on, or Error{mismatch} naming what differs
  never,      // start over
};

struct ResumeRequest {
  Resume mode = Resume::automatic;
  bool explain = false;  // say of each layer whether it is taken over, and why not
  double deadline = 0;   // seconds after which no layer is begun that would not be done; 0 = none
};

struct QuantizeRequest {
  PlacesRequest places;
  AssignmentRequest assignment;
  MixedRequest mixed;
  RoundingRequest rounding;
  CalibrationRequest calibration;
  MeasureRequest measure;
  MachineRequest machine;
  ResumeRequest resume;
  ShareRequest share;
  const StopFlag* stop = nullptr;

  bool measures() const { return mixed.wanted() && !measure.held_out.empty(); }
};

}  // namespace strata
