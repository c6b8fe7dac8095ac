// W8A16_CHANNEL: signed 8-bit integers, a BF16 scale a row.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 8, .group = 0, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w8a16_channel = int_format<layout>({
    .name = "W8A16_CHANNEL",
    .summary = "8-bit integer weights, BF16 scale per row, activations untouched",
    .floor = {31, "33.8 to 41.3 with 4096 columns in a row; wider ones have larger maxima"},
    .serving = {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
