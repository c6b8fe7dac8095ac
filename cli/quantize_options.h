// The flags of `strata quantize` and `strata plan`.
#pragma once

#include "cli/option_set.h"
#include "engine/run/quantize.h"

namespace strata {

void declare_quantize_options(OptionSet& options, QuantizeOptions& target);

// What can be said without looking at the model: missing flags, flags that contradict each other, the names of
// format and method. Fills in the method and the work directory.
void complete_quantize_options(QuantizeOptions& options, bool needs_output);

// "re:.*down_proj=FP8_DYNAMIC" at its last '=': the expression may hold others. Error{usage}.
std::pair<std::string, std::string> parse_override(const std::string& text);

}  // namespace strata
