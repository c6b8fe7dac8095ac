// MXFP8A16: the weights of MXFP8, activations left alone. vLLM has one scheme for both, so that the hardware decides.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e4m3;

}  // namespace

extern const NumberFormat mxfp8a16 = mx_format<element>({
    .name = "MXFP8A16",
    .summary = "FP8 weights, power-of-two scale per 32, activations untouched",
    .bits_per_weight = 8.25,
    .config_group = R"({"format": "mxfp8-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "group", "group_size": 32,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null}})",
    .floor = {30, "31.5 whatever the weights: three bits of mantissa"},
    .serving = {.vllm = "SM75 and newer as W8A16 (Marlin); SM100 and newer as W8A8, whatever the inputs say",
                .vllm_experts = true,
                .transformers = "5.15"},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
