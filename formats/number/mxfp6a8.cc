// MXFP6A8: E2M3 weights, activations MXFP8.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m3;

}  // namespace

extern const NumberFormat mxfp6a8 = mx_format<element>({
    .name = "MXFP6A8",
    .summary = "FP6 (E2M3) weights, power-of-two scale per 32, activations MXFP8",
    .bits_per_weight = 6.25,
    .quantizes_input = true,
    .quantize_input = mx_inputs<kernels::MxElement::e4m3>,
    .config_group = R"({"format": "mxfp6-pack-quantized", "output_activations": null,
      "weights": {"num_bits": 6, "type": "float", "symmetric": true, "strategy": "group", "group_size": 32,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null},
      "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "group",
        "group_size": 32, "dynamic": true, "actorder": null, "block_structure": null, "observer": null,
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null}})",
    .floor = {29, "30.4 to 31.0 with E2M3"},
    .serving = {.transformers = "5.15 with compressed-tensors 0.20"},
});

}  // namespace strata::number
