// MXFP4: FP4 weights and activations, a power of two per 32.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m1;

}  // namespace

extern const NumberFormat mxfp4 = mx_format<element>({
    .name = "MXFP4",
    .summary = "FP4 weights and activations, power-of-two scale per 32",
    .bits_per_weight = 4.25,
    .quantizes_input = true,
    .quantize_input = mx_inputs<element>,
    .config_group = R"({"format": "mxfp4-pack-quantized", "output_activations": null,
      "weights": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "group", "group_size": 32,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null},
      "input_activations": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "group",
        "group_size": 32, "dynamic": true, "actorder": null, "block_structure": null, "observer": null,
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null}})",
    .floor = {18, "18.2 to 19.0: powers of two cost 2 dB"},
    .serving =
        {.vllm = "SM80 and newer as W4A16 (Marlin); SM100 and newer with FlashInfer as W4A4, whatever the inputs say",
         .vllm_experts = true,
         .transformers = "5.15"},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
