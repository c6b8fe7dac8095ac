// MXFP4 of other tools (DeepSeek-V4's experts): two E2M1 codes a byte in a tensor called `weight` of type I8,
// a power of two per 32 columns in `scale`.
#include "formats/storage/mxfp4_blocks.h"
#include "formats/storage/scale_tensor.h"

namespace strata::storage {
namespace {

constexpr std::int64_t group = 32;

std::vector<StoredPart> parts(const Stem& stem) {
  return {{.field = {"weight", Dtype::i8, {stem.weight[0], stem.weight[1] / 2}}},
          {.field = {"scale", Dtype::f8_e8m0, {stem.weight[0], stem.weight[1] / group}}, .also = {Dtype::u8}}};
}

void decode(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out) {
  const std::vector<float> scales =
      scale_values(*linear.field("scale"), bytes_of(linear, bytes, "scale"), linear.module);
  decode_mxfp4(bytes_of(linear, bytes, "weight"), scales, linear.weight[0], linear.weight[1], out);
}

}  // namespace

extern const Storage fp4_32{
    .name = "FP4 with a power of two per 32 columns",
    .recognizes =
        [](const Stem& stem) {
          return stem.has("weight", {Dtype::i8}) && stem.has("scale", {Dtype::f8_e8m0, Dtype::u8});
        },
    .parts = parts,
    .decode = decode,
    .copy_format = [](const StoredLinear& /*linear*/) -> std::string_view { return "MXFP4A16"; },
    .copy =
        [](const StoredLinear& linear, std::string_view /*format*/) {
          const std::int64_t rows = linear.weight[0], cols = linear.weight[1];
          return std::vector<CopiedField>{
              {.field = {"weight_packed", Dtype::u8, {rows, cols / 2}}, .from = "weight"},
              {.field = {"weight_scale", Dtype::u8, {rows, cols / group}}, .from = "scale"}};
        },
    .group = group,
};

}  // namespace strata::storage
