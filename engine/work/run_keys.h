// What the results of a run are computed from, visit by visit: the names under which they may be used again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/plan/prepared.h"
#include "engine/plan/request.h"
#include "formats/text/dataset.h"

namespace strata {

struct RunKeys {
  Fingerprint run;                      // of the whole, part by part, for people
  std::vector<std::string> names;       // of the visits
  std::vector<Fingerprint> visits;      // of what each visit writes to the output
  std::vector<Fingerprint> boundaries;  // of the hidden states that enter each visit, and of those that leave the last;
                                        // empty without data
};

// Parts of a visit's fingerprint that say what it reads.
namespace source_keys {
inline constexpr std::string_view files = "source", tensors = "tensors";
}

// Nothing in it depends on memory, threads, reading, tracing or logging. `tokens` is nullptr without data. Reads a
// sample of every shard.
RunKeys run_keys(const Prepared& prepared, const QuantizeRequest& request, const TokenRows* tokens);

}  // namespace strata
