// NVFP4 of ModelOpt: codes in a tensor called `weight`, and global scales that multiply where those of
// compressed-tensors divide. weight = code * (group scale * weight_scale_2).
#include "formats/kernels/minifloat.h"
#include "formats/kernels/nvfp4.h"
#include "formats/storage/scale_tensor.h"
#include "formats/weight/row_blocks.h"

namespace strata::storage {
namespace {

constexpr std::int64_t group = kernels::nvfp4_group;

std::vector<StoredPart> parts(const Stem& stem) {
  const std::int64_t rows = stem.weight[0], cols = stem.weight[1];
  std::vector<StoredPart> all = {{.field = {"weight", Dtype::u8, {rows, cols / 2}}},
                                 {.field = {"weight_scale", Dtype::f8_e4m3, {rows, cols / group}}},
                                 {.field = {"weight_scale_2", Dtype::f32, {}}, .scalar = true}};
  if (stem.tensor("input_scale") != nullptr) all.push_back({.field = {"input_scale", Dtype::f32, {}}, .scalar = true});
  return all;
}

void decode(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out) {
  const std::int64_t rows = linear.weight[0], cols = linear.weight[1], groups = cols / group;
  const float global =
      scale_values(*linear.field("weight_scale_2"), bytes_of(linear, bytes, "weight_scale_2"), linear.module).at(0);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(bytes_of(linear, bytes, "weight").data());
  const auto* const scales = reinterpret_cast<const std::uint8_t*>(bytes_of(linear, bytes, "weight_scale").data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>((end - first) * groups));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = decode_e4m3(scales[static_cast<std::size_t>(first * groups) + i]) * global;
    kernels::nvfp4_decode(codes + first * (cols / 2), values.data(), (end - first) * cols, out.data() + first * cols);
  });
}

std::vector<CopiedField> copy(const StoredLinear& linear, std::string_view format) {
  const std::int64_t rows = linear.weight[0], cols = linear.weight[1];
  std::vector<CopiedField> fields = {
      {.field = {"weight_packed", Dtype::u8, {rows, cols / 2}}, .from = "weight"},
      {.field = {"weight_scale", Dtype::f8_e4m3, {rows, cols / group}}, .from = "weight_scale"},
      {.field = {"weight_global_scale", Dtype::f32, {1}}, .from = "weight_scale_2", .step = CopyStep::reciprocal}};
  if (format == "NVFP4")
    fields.push_back(
        {.field = {"input_global_scale", Dtype::f32, {1}}, .from = "input_scale", .step = CopyStep::reciprocal});
  return fields;
}

}  // namespace

extern const Storage modelopt_nvfp4{
    .name = "NVFP4 of ModelOpt",
    .recognizes =
        [](const Stem& stem) {
          return stem.has("weight", {Dtype::u8}) && stem.has("weight_scale", {Dtype::f8_e4m3}) &&
                 stem.tensor("weight_scale_2") != nullptr;
        },
    .parts = parts,
    .decode = decode,
    .copy_format = [](const StoredLinear& linear) -> std::string_view {
      return linear.field("input_scale") != nullptr ? "NVFP4" : "NVFP4A16";
    },
    .copy = copy,
    .group = group,
    .inputs = [](const StoredLinear& linear) -> std::string_view {
      return linear.field("input_scale") != nullptr ? "FP4 activations" : "16-bit activations";
    },
};

}  // namespace strata::storage
