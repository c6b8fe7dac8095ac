// Reading a config group of a quantization_config, and finding the number format that stores it.
#pragma once

#include <string>
#include <string_view>

#include "formats/config/config.h"
#include "formats/number_format.h"
#include "formats/scheme.h"

namespace strata {

// Error{input} naming the key for arguments that nobody here can read. `format` stands for that of a group
// that does not say its own.
Scheme parse_scheme(const Config& group, std::string_view format = {});
SchemeArguments parse_arguments(const Config& arguments);

// What compressed-tensors takes a group for that names no format, whatever the top level says.
std::string_view inferred_format(const Scheme& scheme);
// Whether codes and scales of `stored` lie as those of `own`: "naive-quantized" is "float-quantized" or
// "int-quantized".
bool stored_alike(std::string_view stored, std::string_view own);

// Keys and values of an FP8 cache: one static scale a tensor.
inline constexpr StatedArguments fp8_cache{.bits = 8, .type = "float", .strategy = "tensor"};

// The number format that stores this, nullptr when there is none. Of two with the same group the one that can be
// encoded, not the one that only copies a source.
const NumberFormat* number_format_of(const Scheme& scheme);

std::string describe(const Scheme& scheme);  // "weights 4-bit int, group 128; inputs 8-bit float, token"
std::string describe(const SchemeArguments& arguments);

}  // namespace strata
