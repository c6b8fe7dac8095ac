// W4A16_G64_ASYM: 4-bit integers with a zero point, in groups of 64 columns with a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 64, .zero_point = true, .packed = true};

}  // namespace

extern const NumberFormat w4a16_g64_asym = int_format<layout>({
    .name = "W4A16_G64_ASYM",
    .summary = "4-bit integer weights, BF16 scale and zero point per 64, activations untouched",
    .floor = {16.5, "17.1 to 19.7"},
    .serving = {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
