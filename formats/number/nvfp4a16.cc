// NVFP4A16: the weights of NVFP4, activations left alone.
#include "formats/kernels/nvfp4.h"
#include "formats/number_format.h"
#include "formats/weight/nvfp4_weight.h"
#include "formats/weight/stored_fields.h"

namespace strata::number {

extern const NumberFormat nvfp4a16{
    .name = "NVFP4A16",
    .summary = "FP4 weights, FP8 scale per 16, activations untouched",
    .bits_per_weight = 4.5,
    .calibrated_input = false,
    .quantizes_input = false,
    .fields = [](const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) { return nvfp4_weight_fields(weight); },
    .refusal = [](const Shape& weight) { return group_refusal(weight, kernels::nvfp4_group); },
    .shared_scale = nvfp4_shared_scale,
    .encode = [](const WeightView& weight, const EncodeContext& context,
                 std::span<const std::span<std::byte>> out) { nvfp4_encode_weight(weight, context, out); },
    .decode = nvfp4_decode_weight,
    .quantize_input = nullptr,
    .input_scale_suffix = "",
    .config_group = R"({"format": "nvfp4-pack-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "tensor_group", "group_size": 16,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.float8_e4m3fn", "zp_dtype": null}})",
    .floor = {20, "20.4 to 20.7: a scale for 16 keeps tails away from the others"},
    .serving = {.vllm = "SM75 and newer (Marlin)",
                .vllm_experts = true,
                .transformers = "5.15",
                .transformers_experts = false},
};

}  // namespace strata::number
