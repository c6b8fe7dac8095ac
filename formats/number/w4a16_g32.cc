// W4A16_G32: signed 4-bit integers in groups of 32 columns, a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 32, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w4a16_g32 = int_format<layout>({
    .name = "W4A16_G32",
    .summary = "4-bit integer weights, BF16 scale per 32, activations untouched",
    .floor = {17.5, "18.4 to 20.5"},
    .serving =
        {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
});

}  // namespace strata::number
