// FP8 with a scale per block, 128x128 unless weight_block_size says otherwise: DeepSeek, MiniMax, Qwen. The
// last block of a row or column may be smaller. Scales are plain floats or powers of two (E8M0).
#include <fmt/format.h>

#include <algorithm>

#include "formats/kernels/fp8.h"
#include "formats/storage/scale_tensor.h"
#include "formats/weight/row_blocks.h"

namespace strata::storage {
namespace {

Shape block_of(const std::optional<Shape>& block) { return block.value_or(Shape{128, 128}); }

std::vector<StoredPart> parts(const Stem& stem) {
  const TensorInfo& scales = *fp8_scales(stem);
  const Shape block = block_of(stem.block);
  StoredPart grid{.field = {scales.name.substr(stem.module.size() + 1),
                            Dtype::f32,
                            {pieces(stem.weight[0], block[0]), pieces(stem.weight[1], block[1])}},
                  .also = {Dtype::bf16, Dtype::f16}};
  if (is_e8m0(scales.dtype)) {
    grid.field.dtype = Dtype::f8_e8m0;
    grid.also = {Dtype::u8};
  }
  return {{.field = {"weight", Dtype::f8_e4m3, stem.weight}}, std::move(grid)};
}

void decode(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out) {
  const std::string_view suffix = fp8_scales_suffix(linear);
  const std::vector<float> scales = scale_values(*linear.field(suffix), bytes_of(linear, bytes, suffix), linear.module);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(bytes_of(linear, bytes, "weight").data());
  const Shape block = block_of(linear.block);
  const std::int64_t cols = linear.weight[1], across = pieces(cols, block[1]);
  for_row_blocks(linear.weight[0], cols, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row != end; ++row)
      for (std::int64_t tile = 0; tile != across; ++tile) {
        const std::int64_t at = row * cols + tile * block[1], count = std::min(block[1], cols - tile * block[1]);
        const float scale = scales[static_cast<std::size_t>(row / block[0] * across + tile)];
        kernels::fp8_decode(codes + at, scale, count, out.data() + at);
      }
  });
}

std::vector<CopiedField> copy(const StoredLinear& linear, std::string_view /*format*/) {
  const std::string_view suffix = fp8_scales_suffix(linear);
  Field scales = *linear.field(suffix);
  const bool power = is_e8m0(scales.dtype);
  scales.suffix = "weight_scale";
  if (power) scales.dtype = Dtype::f32;
  return {{.field = {"weight", Dtype::f8_e4m3, linear.weight}, .from = "weight"},
          {.field = std::move(scales), .from = std::string(suffix), .step = power ? CopyStep::widen : CopyStep::bytes}};
}

}  // namespace

extern const Storage fp8_block{
    .name = "FP8 with a scale per block",
    .recognizes = [](const Stem& stem) { return fp8_scales_of(stem) == Fp8Scales::block; },
    .parts = parts,
    .decode = decode,
    .copy_format = [](const StoredLinear& /*linear*/) -> std::string_view { return "FP8_SOURCE"; },
    .copy = copy,
    .copy_refusal = [](const StoredLinear& linear) -> std::optional<std::string> {
      const Shape block = block_of(linear.block);
      if (block == Shape{128, 128}) return std::nullopt;
      return fmt::format("its blocks are {}, loaders take [128, 128]", shape_text(block));
    },
};

}  // namespace strata::storage
