// W4A16_G64: signed 4-bit integers in groups of 64 columns, a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 64, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w4a16_g64 = int_format<layout>({
    .name = "W4A16_G64",
    .summary = "4-bit integer weights, BF16 scale per 64, activations untouched",
    .bits_per_weight = 4.25,
    .config_group = R"({"format": "pack-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 64,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .floor = {16.5, "17.1 to 19.7"},
    .serving =
        {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15", .transformers_experts = true},
});

}  // namespace strata::number
