// The flags of `strata quantize` and `strata plan`: engine/plan/request_options.h, one by one.
#pragma once

#include <string_view>

#include "cli/option_set.h"
#include "engine/plan/request.h"

namespace strata {

void declare_quantize_options(OptionSet& options, QuantizeRequest& target);

// One of them alone, by its long name, for commands that share it.
void declare_request_option(OptionSet& options, std::string_view name, QuantizeRequest& target);

// What can be said without looking at the model: missing flags, flags that contradict each other, the names of
// format and method. Fills in the work directory.
void complete_quantize_request(QuantizeRequest& request, bool needs_output);

}  // namespace strata
