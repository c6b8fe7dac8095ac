// W4A16: signed 4-bit integers in groups of 128 columns, a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 128, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w4a16 = int_format<layout>({
    .name = "W4A16",
    .aliases = "INT4_W4A16_g128",
    .summary = "4-bit integer weights, BF16 scale per 128, activations untouched",
    .floor = {15, "15.7 to 19.1: a scale for 128 gives way to the largest"},
    .serving =
        {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
});

}  // namespace strata::number
