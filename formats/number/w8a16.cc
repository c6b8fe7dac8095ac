// W8A16: signed 8-bit integers in groups of 128 columns, a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 8, .group = 128, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w8a16 = int_format<layout>({
    .name = "W8A16",
    .aliases = "INT8_W8A16",
    .summary = "8-bit integer weights, BF16 scale per 128, activations untouched",
    .floor = {38, "40.3 to 43.7: 24 dB more than 4 bits"},
    .serving =
        {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
});

}  // namespace strata::number
