// KEEP: the source's bytes in the source's type.
#include <cstring>

#include "formats/number_format.h"
#include "formats/weight/stored_fields.h"

namespace strata::number {
namespace {

void encode(const WeightView& weight, const EncodeContext& /*context*/, std::span<const std::span<std::byte>> out) {
  if (!out[0].empty()) std::memcpy(out[0].data(), weight.data, out[0].size());
}

void decode(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& /*weight*/,
            std::span<float> out) {
  StoredFields(stored, bytes).read_floats("weight", out);
}

}  // namespace

extern const NumberFormat keep{
    .name = "KEEP",
    .summary = "the source's bytes, untouched",
    .bits_per_weight = 0,
    .fields =
        [](const Shape& weight, Dtype source, ScaleRule /*rule*/) {
          return std::vector<Field>{{"weight", source, weight}};
        },
    .refusal = [](const Shape& /*weight*/) -> std::optional<std::string> { return std::nullopt; },
    .encode = encode,
    .decode = decode,
    .floor = no_floor,
    .verbatim = true,
};

}  // namespace strata::number

namespace strata {

const NumberFormat& kept_format() { return number::keep; }

}  // namespace strata
