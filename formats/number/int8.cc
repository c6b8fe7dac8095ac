// INT8: signed 8-bit integers with a BF16 scale a row, activations quantized per token while serving.
#include "formats/kernels/int8.h"

#include "formats/weight/int_weight.h"
#include "formats/weight/row_blocks.h"

namespace strata::number {
namespace {

constexpr IntLayout layout{.bits = 8, .group = 0, .zero_point = false, .packed = false};
constexpr StatedArguments token_inputs{.bits = 8, .type = "int", .strategy = "token", .dynamic = "true"};

// compressed-tensors gives the largest magnitude the code 127.5, which is clamped; vLLM's kernels give it 127.
void quantize_tokens(std::span<float> x, std::int64_t rows, std::int64_t cols, float steps) {
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row != end; ++row) kernels::int8_fake_quantize(x.data() + row * cols, cols, steps);
  });
}

void quantize_input(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  quantize_tokens(x, rows, cols, 127.5f);
}

void vllm_quantize_input(std::span<float> x, std::int64_t rows, std::int64_t cols, float /*input_scale*/) {
  quantize_tokens(x, rows, cols, 127);
}

}  // namespace

extern const NumberFormat int8 = int_format<layout>({
    .name = "INT8",
    .summary = "8-bit integer weights, BF16 scale per row, activations 8-bit integers per token",
    .scheme = {.input = token_inputs},
    .quantize_input = quantize_input,
    .floor = {31, "33.8 to 41.3 with 4096 columns in a row; wider ones have larger maxima"},
    .serving = {.vllm = "SM75 and newer, CPU", .vllm_experts = true, .transformers = "5.15"},
    .vllm_quantize_input = vllm_quantize_input,
});

}  // namespace strata::number
