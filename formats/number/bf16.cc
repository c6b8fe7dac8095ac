// BF16: a plain weight, rounded to bfloat16.
#include <cstring>

#include "formats/number_format.h"
#include "formats/weight/row_blocks.h"
#include "formats/weight/stored_fields.h"
#include "formats/weight/weights.h"

namespace strata::number {
namespace {

void encode(const WeightView& weight, const EncodeContext& /*context*/, std::span<const std::span<std::byte>> out) {
  if (weight.dtype == Dtype::bf16) {
    if (!out[0].empty()) std::memcpy(out[0].data(), weight.data, out[0].size());
    return;
  }
  for_row_blocks(weight.rows, weight.cols, [&](std::int64_t first, std::int64_t end) {
    std::vector<float> scratch;
    const std::int64_t count = (end - first) * weight.cols;
    const float* const values = widened(weight, first * weight.cols, count, scratch);
    to_bf16({values, static_cast<std::size_t>(count)},
            out[0].subspan(static_cast<std::size_t>(first * weight.cols) * 2, static_cast<std::size_t>(count) * 2));
  });
}

void decode(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& /*weight*/,
            std::span<float> out) {
  StoredFields(stored, bytes).read_floats("weight", out);
}

}  // namespace

extern const NumberFormat bf16{
    .name = "BF16",
    .summary = "not quantized, rounded to bfloat16",
    .bits_per_weight = 16,
    .fields =
        [](const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
          return std::vector<Field>{{"weight", Dtype::bf16, weight}};
        },
    .refusal = [](const Shape& /*weight*/) -> std::optional<std::string> { return std::nullopt; },
    .encode = encode,
    .decode = decode,
    .floor = no_floor,
};

}  // namespace strata::number

namespace strata {

const NumberFormat& decoded_format() { return number::bf16; }

}  // namespace strata
