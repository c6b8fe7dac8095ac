// How near to its source a Linear stored in a format is at least, when its weights are like those of trained
// models: what `verify --deep` flags.
#pragma once

#include <string_view>

namespace strata {

struct SqnrFloor {
  std::string_view format;  // the beginning of a format's name
  double db;
  std::string_view reason;
};

// The entry with the longest name that begins the format's.
const SqnrFloor& sqnr_floor(std::string_view format);

}  // namespace strata
