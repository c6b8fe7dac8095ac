// Whether one data set holds some of another: what was calibrated on must not be what is measured on.
#pragma once

#include <cstdint>
#include <optional>

#include "formats/text/dataset.h"

namespace strata {

// The same tokens in a row of each.
struct SharedRun {
  std::int64_t row = 0, first = 0;              // of `rows`, and the place in it
  std::int64_t known_row = 0, known_first = 0;  // of `known`
  std::int64_t tokens = 0;
};

// A run of `run` consecutive tokens that a row of `rows` has in common with one of `known`; where one of the two is
// shorter, all of it. nullopt when there is none. Of several, runs of `run` come first, then the first row: always the
// same one. Time grows with the number of tokens, times the number of lengths below `run`.
std::optional<SharedRun> find_shared(const TokenRows& known, const TokenRows& rows, std::int64_t run = 64);

}  // namespace strata
