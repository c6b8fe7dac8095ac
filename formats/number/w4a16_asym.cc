// W4A16_ASYM: 4-bit integers with a zero point, in groups of 128 columns with a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 128, .zero_point = true, .packed = true};

}  // namespace

extern const NumberFormat w4a16_asym = int_format<layout>({
    .name = "W4A16_ASYM",
    .summary = "4-bit integer weights, BF16 scale and zero point per 128, activations untouched",
    .floor = {15, "15.7 to 19.1: a scale for 128 gives way to the largest"},
    .serving = {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
