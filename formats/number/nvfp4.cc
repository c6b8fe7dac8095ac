// NVFP4: FP4 weights and activations, the format of Blackwell tensor cores.
#include "formats/kernels/nvfp4.h"

#include <cstring>

#include "base/error.h"
#include "formats/number_format.h"
#include "formats/weight/nvfp4_weight.h"
#include "formats/weight/row_blocks.h"

namespace strata::number {
namespace {

std::vector<Field> fields(const Shape& weight, Dtype /*source*/, ScaleRule /*rule*/) {
  std::vector<Field> all = nvfp4_weight_fields(weight);
  all.push_back({"input_global_scale", Dtype::f32, {1}});
  return all;
}

void encode_input_scale(float input_amax, Dtype weight, ScaleRule rule, std::span<std::byte> out) {
  const float input_scale = nvfp4_global_scale(input_amax, rule, weight);
  std::memcpy(out.data(), &input_scale, sizeof input_scale);
}

void encode(const WeightView& weight, const EncodeContext& context, std::span<const std::span<std::byte>> out) {
  encode_input_scale(context.input_amax, weight.dtype, context.rule, out[3]);
  nvfp4_encode_weight(weight, context, out.first(3));
}

void quantize_input(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale) {
  if (!(input_scale > 0)) fail(Fault::input, "input_global_scale: is {}, expected a number above 0", input_scale);
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    kernels::nvfp4_fake_quantize(x.data() + first * cols, (end - first) * cols, input_scale);
  });
}

}  // namespace

extern const NumberFormat nvfp4a16;

extern const NumberFormat nvfp4 = nvfp4_format({
    .name = "NVFP4",
    .summary = "FP4 weights and activations, FP8 scale per 16; needs calibration data",
    .scheme = {.input = nvfp4_input_arguments()},
    .calibrated_input = true,
    .fields = fields,
    .encode = encode,
    .quantize_input = quantize_input,
    .input_scale_suffix = "input_global_scale",
    .encode_input_scale = encode_input_scale,
    .floor = {20, "20.4 to 20.7: a scale for 16 keeps tails away from the others"},
    .without_data = &nvfp4a16,
    .serving = {.vllm = "SM100 and newer; SM75 and newer as W4A16 (Marlin)",
                .vllm_experts = true,
                .transformers = "5.15",
                .transformers_drops = "weight_global_scale"},
});

}  // namespace strata::number
