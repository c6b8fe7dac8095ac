#include "formats/storage/mxfp4_blocks.h"

#include <vector>

#include "base/error.h"
#include "formats/kernels/nvfp4.h"
#include "formats/storage/scale_tensor.h"
#include "formats/weight/row_blocks.h"

namespace strata {

void decode_mxfp4(std::span<const std::byte> packed, std::span<const float> scales, std::int64_t rows,
                  std::int64_t cols, std::span<float> out) {
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(packed.data());
  const std::int64_t groups = cols / 32;
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    // The kernel of NVFP4 takes a scale per 16 columns: every scale of ours stands twice.
    std::vector<float> twice(static_cast<std::size_t>((end - first) * groups) * 2);
    for (std::size_t i = 0; i < twice.size(); ++i) twice[i] = scales[static_cast<std::size_t>(first * groups) + i / 2];
    kernels::nvfp4_decode(codes + first * (cols / 2), twice.data(), (end - first) * cols, out.data() + first * cols);
  });
}

void decode_gpt_oss(std::string_view tensor, const Shape& blocks_shape, std::span<const std::byte> blocks,
                    const Shape& scales_shape, std::span<const std::byte> scales, std::span<float> out) {
  Shape expected = scales_shape;
  expected.push_back(16);
  if (scales_shape.size() != 3 || blocks_shape != expected)
    fail(Fault::input,
         "{}: blocks {} and scales {} do not belong together, expected [experts, out, in / 32, 16] and [experts, out, "
         "in / 32]",
         tensor, shape_text(blocks_shape), shape_text(scales_shape));
  const std::int64_t rows = scales_shape[0] * scales_shape[1], cols = scales_shape[2] * 32;
  if (blocks.size() != static_cast<std::size_t>(rows * cols / 2) || out.size() != static_cast<std::size_t>(rows * cols))
    fail(Fault::bug, "{}: {} bytes of blocks for {} values", tensor, blocks.size(), out.size());
  const std::vector<float> values = scale_values({"scales", Dtype::u8, {rows, scales_shape[2]}}, scales, tensor);
  decode_mxfp4(blocks, values, rows, cols, out);
}

}  // namespace strata
