// MXFP4A16: the weights of MXFP4, activations left alone. vLLM has one scheme for both, so that the hardware decides.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e2m1;

}  // namespace

extern const NumberFormat mxfp4a16 = mx_format<element>({
    .name = "MXFP4A16",
    .summary = "FP4 weights, power-of-two scale per 32, activations untouched",
    .bits_per_weight = 4.25,
    .config_group = R"({"format": "mxfp4-pack-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "group", "group_size": 32,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null}})",
    .floor = {18, "18.2 to 19.0: powers of two cost 2 dB"},
    .serving =
        {.vllm = "SM80 and newer as W4A16 (Marlin); SM100 and newer with FlashInfer as W4A4, whatever the inputs say",
         .vllm_experts = true,
         .transformers = "5.15",
         .transformers_experts = true},
    .vllm_quantize_input = mx_inputs_upward<element>,
});

}  // namespace strata::number
