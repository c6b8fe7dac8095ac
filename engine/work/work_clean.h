// strata clean: gives back the disk that an unfinished run holds.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace strata {

struct CleanReport {
  std::vector<std::pair<std::string, std::uint64_t>> removed;  // path, bytes
  std::uint64_t bytes = 0;                                     // of all that was removed
  std::vector<std::string> kept;                               // records, and what others still share
  std::vector<std::string> unknown;                            // not ours, left where it is
};

// Removes caches, journal and fingerprint of the work directory and what the run left in OUT.partial, by name: what
// no run writes stays. What several processes share goes with the last of their work directories. Never touches the
// output. Error{input} when it is no work directory, Error{busy} while a run holds it.
CleanReport clean_work(const std::string& folder);

}  // namespace strata
