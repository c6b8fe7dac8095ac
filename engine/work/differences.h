// What tells a run from the one that left its records, for people: options and files rather than hashes.
#pragma once

#include <string>
#include <vector>

#include "cache/fingerprint.h"

namespace strata {

// Those of Fingerprint::differences() between the keys of two runs, but for several files of a source, which are one
// line: a source that is another one.
std::vector<std::string> told_differences(const Fingerprint& run, const Fingerprint& earlier);

}  // namespace strata
