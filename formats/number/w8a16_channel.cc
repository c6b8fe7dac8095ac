// W8A16_CHANNEL: signed 8-bit integers, a BF16 scale a row.
#include "formats/int_weight.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 8, .group = 0, .zero_point = false, .packed = true};

}  // namespace

extern const NumberFormat w8a16_channel{
    .name = "W8A16_CHANNEL",
    .summary = "8-bit integer weights, BF16 scale per row, activations untouched",
    .bits_per_weight = 8,
    .calibrated_input = false,
    .quantizes_input = false,
    .fields = [](const Shape& weight, Dtype source,
                 ScaleRule rule) { return int_fields(layout, weight, source, rule); },
    .refusal = [](const Shape& weight) { return int_refusal(layout, weight); },
    .encode = [](const WeightView& weight, const EncodeContext& context,
                 std::span<const std::span<std::byte>> out) { int_encode(layout, weight, context, out); },
    .decode = [](std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& weight,
                 std::span<float> out) { int_decode(layout, stored, bytes, weight, out); },
    .quantize_input = nullptr,
    .input_scale_suffix = "",
    .config_group = R"({"format": "pack-quantized", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "group_size": null,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": null, "zp_dtype": null}})",
    .serving = {.vllm = "sm_75 and later (Marlin)", .vllm_experts = true, .transformers = "5.15"},
};

}  // namespace strata::number
