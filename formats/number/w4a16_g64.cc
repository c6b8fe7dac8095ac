// W4A16_G64: signed 4-bit integers in groups of 64 columns, a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 64, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w4a16_g64 = int_format<layout>({
    .name = "W4A16_G64",
    .summary = "4-bit integer weights, BF16 scale per 64, activations untouched",
    .floor = {16.5, "17.1 to 19.7"},
    .serving =
        {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
});

}  // namespace strata::number
