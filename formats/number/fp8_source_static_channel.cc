// FP8_SOURCE_STATIC_CHANNEL: FP8_SOURCE_STATIC with the scale of the tensor repeated a row, for matrices that are
// served as one while their scales differ: loaders would requantize them to the largest.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::channel, .input_scale = true};

}  // namespace

extern const NumberFormat fp8_source_static_channel = fp8_source_format<layout>({
    .name = "FP8_SOURCE_STATIC_CHANNEL",
    .summary = "FP8_SOURCE_STATIC with the scale repeated per row, where fused scales differ",
    .bits_per_weight = 8,
    .quantizes_input = true,
    .config_group = R"({"format": "float-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "channel", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "tensor",
        "group_size": null, "dynamic": false, "actorder": null, "block_structure": null,
        "observer": "static_minmax", "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .floor = {100, "codes are the source's: what decodes to other numbers was not copied"},
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16", .transformers = "5.15"},
});

}  // namespace strata::number
