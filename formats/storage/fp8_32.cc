// MXFP8 of other tools: FP8 with a power of two per 32 columns.
#include "formats/kernels/fp8.h"
#include "formats/storage/scale_tensor.h"
#include "formats/weight/row_blocks.h"

namespace strata::storage {
namespace {

constexpr std::int64_t group = 32;

std::vector<StoredPart> parts(const Stem& stem) {
  return {{.field = {"weight", Dtype::f8_e4m3, stem.weight}},
          {.field = {fp8_scales(stem)->name.substr(stem.module.size() + 1),
                     Dtype::u8,
                     {stem.weight[0], stem.weight[1] / group}},
           .also = {Dtype::f8_e8m0}}};
}

void decode(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out) {
  const std::string_view suffix = fp8_scales_suffix(linear);
  const std::vector<float> scales = scale_values(*linear.field(suffix), bytes_of(linear, bytes, suffix), linear.module);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(bytes_of(linear, bytes, "weight").data());
  for_row_blocks(linear.weight[0], linear.weight[1], [&](std::int64_t first, std::int64_t end) {
    const std::int64_t across = linear.weight[1] / group;
    for (std::int64_t i = first * across; i != end * across; ++i)
      kernels::fp8_decode(codes + i * group, scales[static_cast<std::size_t>(i)], group, out.data() + i * group);
  });
}

}  // namespace

extern const Storage fp8_32{
    .name = "FP8 with a power of two per 32 columns",
    .recognizes = [](const Stem& stem) { return fp8_scales_of(stem) == Fp8Scales::columns_32; },
    .parts = parts,
    .decode = decode,
    .copy_format = [](const StoredLinear& /*linear*/) -> std::string_view { return "MXFP8"; },
    .copy =
        [](const StoredLinear& linear, std::string_view /*format*/) {
          return std::vector<CopiedField>{
              {.field = {"weight", Dtype::f8_e4m3, linear.weight}, .from = "weight"},
              {.field = {"weight_scale", Dtype::u8, {linear.weight[0], linear.weight[1] / group}},
               .from = std::string(fp8_scales_suffix(linear))}};
        },
    .group = group,
};

}  // namespace strata::storage
