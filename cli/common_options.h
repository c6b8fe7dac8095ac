// The options that every command has.
#pragma once

#include <cstdint>

#include "cli/option_set.h"

namespace strata {

enum class LogFormat : std::uint8_t { text, json };
enum class ColorChoice : std::uint8_t { automatic, always, never };

struct CommonOptions {
  bool json = false;  // the result on stdout as one JSON document
  bool verbose = false;
  bool quiet = false;  // no progress
  bool help = false;
  LogFormat log_format = LogFormat::text;
  ColorChoice color = ColorChoice::automatic;
};

// `target` outlives the set.
OptionSet common_option_set(CommonOptions& target);

}  // namespace strata
