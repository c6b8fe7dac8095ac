// W4A16_G64_ASYM: 4-bit integers with a zero point, in groups of 64 columns with a BF16 scale each.
#include "formats/weight/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 4, .group = 64, .zero_point = true, .packed = true};

}  // namespace

extern const NumberFormat w4a16_g64_asym = int_format<layout>({
    .name = "W4A16_G64_ASYM",
    .summary = "4-bit integer weights, BF16 scale and zero point per 64, activations untouched",
    .bits_per_weight = 4.3125,
    .config_group = R"({"format": "pack-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 4, "type": "int", "symmetric": false, "strategy": "group", "group_size": 64,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": "torch.int8"}})",
    .floor = {16.5, "17.1 to 19.7"},
    .serving = {.vllm = "SM75 and newer (Marlin)", .vllm_experts = true, .transformers = "5.15"},
});

}  // namespace strata::number
