// One config group of a quantization_config: how weights and inputs are quantized.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "formats/config/config.h"
#include "formats/number_format.h"

namespace strata {

// QuantizationArgs, as far as they change what the bytes mean. Tags (observer, actorder "weight" or "static") do not.
struct SchemeArguments {
  std::int64_t bits = 8;
  std::string type = "int";
  bool symmetric = true;
  std::string strategy;
  std::int64_t group_size = 0;                 // 0 when there are no groups
  std::string dynamic = "false";               // as JSON: false, true, "local"
  std::array<std::int64_t, 2> block = {0, 0};  // rows and columns of a block; zeros when there are none
  std::string scales;                          // "e8m0" or "e4m3" codes; empty for plain floats
  bool operator==(const SchemeArguments&) const = default;
};

struct Scheme {
  std::string format;  // "pack-quantized"; empty when the group does not say
  SchemeArguments weights;
  std::optional<SchemeArguments> input;
};

// Error{input} naming the key for arguments that nobody here can read. `format` stands for that of a group
// that does not say its own.
Scheme parse_scheme(const Config& group, std::string_view format = {});
SchemeArguments parse_arguments(const Config& arguments);

// What compressed-tensors takes a group for that names no format, whatever the top level says.
std::string_view inferred_format(const Scheme& scheme);
// Whether codes and scales of `stored` lie as those of `own`: "naive-quantized" is "float-quantized" or
// "int-quantized".
bool stored_alike(std::string_view stored, std::string_view own);

// The number format that stores this, nullptr when there is none. Of two with the same group the one that can be
// encoded, not the one that only copies a source.
const NumberFormat* number_format_of(const Scheme& scheme);

std::string describe(const Scheme& scheme);  // "weights 4-bit int, group 128; inputs 8-bit float, token"
std::string describe(const SchemeArguments& arguments);

}  // namespace strata
