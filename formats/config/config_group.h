// The config group of a number format, printed from its scheme in the words of compressed-tensors.
#pragma once

#include "formats/json.h"
#include "formats/scheme.h"

namespace strata {

// Without targets: {"format": ..., "weights": {...}, ...}, keys in the order of compressed-tensors. The scheme
// quantizes.
Json config_group(const StatedScheme& scheme);

// QuantizationArgs of inputs, or of what else a server quantizes while it runs: keys and values.
Json input_arguments(const StatedArguments& arguments);

}  // namespace strata
