// W4A16_G32_ASYM: 4-bit integers with a zero point, in groups of 32 columns with a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 32, .zero_point = true, .packed = true};

}  // namespace

extern const NumberFormat w4a16_g32_asym = int_format<layout>({
    .name = "W4A16_G32_ASYM",
    .summary = "4-bit integer weights, BF16 scale and zero point per 32, activations untouched",
    .floor = {17.5, "18.4 to 20.5"},
    .serving = {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
