// One config group of a quantization_config: how weights and inputs are quantized.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "formats/config.h"
#include "formats/number_format.h"

namespace strata {

// QuantizationArgs, as far as they change what the bytes mean.
struct SchemeArguments {
  std::int64_t bits = 8;
  std::string type = "int";
  bool symmetric = true;
  std::string strategy;
  std::int64_t group_size = 0;    // 0 when there are no groups
  std::string dynamic = "false";  // as JSON: false, true, "local"
  bool operator==(const SchemeArguments&) const = default;
};

struct Scheme {
  std::string format;  // "pack-quantized"; empty when the group does not say
  SchemeArguments weights;
  std::optional<SchemeArguments> input;
};

// Error{input} naming the key for arguments that nobody here can read.
Scheme parse_scheme(const Config& group);

// The number format that stores this, nullptr when there is none.
const NumberFormat* number_format_of(const Scheme& scheme);

std::string describe(const Scheme& scheme);  // "4-bit int, group 128; inputs 8-bit float, token"

}  // namespace strata
