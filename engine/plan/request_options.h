// The one table of what a user can say of a run. The command line, its help and the keys of a run are made from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/plan/request.h"

namespace strata {

// Whether another value is another run, whose output an interrupted one must not go on with. What an option only leads
// to (the formats that --assignment names, the tokens of --dataset) has keys of its own.
enum class InKeys : std::uint8_t { no, yes, with_data };

struct RequestOption {
  std::string_view names;     // "-o,--output,--output-dir": short, long, synonyms; in capitals what stands alone
  std::string_view group;     // title in --help
  std::string_view value;     // "FOLDER" in --help; empty for a flag
  std::string_view help;      // one line
  std::string_view fallback;  // what holds when nothing is said, as --help shows it; empty: nothing to show
  std::string_view recipe;    // its key in a recipe, "calibration.nsamples"; empty: what no recipe says
  InKeys in_keys = InKeys::no;
  bool repeatable = false;
  // Error{usage} that begins with `name`.
  void (*set)(QuantizeRequest& request, std::string_view name, const std::string& text) = nullptr;
  // What set() would take to come to the same; empty where it is as nobody said anything. Each of the values of a
  // repeatable one, in order, with a space between.
  std::string (*text)(const QuantizeRequest& request) = nullptr;
};

// In the order of --help.
std::span<const RequestOption> request_options();

// "re:.*down_proj=FP8_DYNAMIC" at its last '=': the expression may hold others. Error{usage}.
std::pair<std::string, std::string> parse_override(std::string_view name, const std::string& text);

// Bits per parameter, such as 4.75: from 1 to 64. Error{usage} that begins with `name`.
double parse_bits(std::string_view name, std::string_view text);

std::string_view price_name(PriceRule rule);  // "output", "fisher-trace"

// Any number of 0 or more.
double parse_number(std::string_view name, std::string_view text);

// The name of a number format as the format itself spells it. Error{usage} that begins with `name`, with a suggestion.
std::string known_format(std::string_view name, const std::string& text);

}  // namespace strata
