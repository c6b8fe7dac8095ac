// Linears that are served as one matrix in one format of a menu, encoded as the pass `render` does it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/leased_buffer.h"
#include "engine/rounding/rounding.h"
#include "profiles/model_spec.h"

namespace strata {

class Desk;
class Moments;

// Where the fields of each member go, and what they are.
struct OptionFields {
  std::vector<std::vector<Field>> fields;              // of each member
  std::vector<std::vector<std::span<std::byte>>> out;  // of each of them

  std::uint64_t bytes() const;
  void place(std::span<std::byte>& room);  // one after the other; what is left stays in `room`
};

// What a Linear holds, as a format is to encode it: dense where it lies, else as it was decoded. Its pass reads
// facts::source and weights.
WeightView menu_weight(const Desk& desk, const LinearSpec& linear);

OptionFields option_fields(const Desk& desk, std::span<const LinearSpec* const> group, const NumberFormat& format,
                           ScaleRule rule);

// Fills `where`. `input_amax`: of a format with an input scale. `scratch` grows. Error{input}.
struct OptionEncoding {
  const RoundingMethod& method;
  ScaleRule rule;
  const NumberFormat& format;
  float input_amax = 1;
};
void encode_option(const Desk& desk, const Moments& moments, std::span<const LinearSpec* const> group,
                   const OptionEncoding& how, const OptionFields& where, LeasedBuffer& scratch);

}  // namespace strata
