#include "formats/weight/mx_weight.h"

#include <cstring>

#include "base/error.h"
#include "formats/weight/row_blocks.h"

namespace strata {
namespace {

using kernels::MxElement;

constexpr std::int64_t group = kernels::mx_group;

std::string_view codes_suffix(MxElement element) { return element == MxElement::e4m3 ? "weight" : "weight_packed"; }

Dtype codes_dtype(MxElement element) { return element == MxElement::e4m3 ? Dtype::f8_e4m3 : Dtype::u8; }

kernels::MxSource source_of(Dtype dtype) {
  if (dtype == Dtype::f32) return kernels::MxSource::f32;
  return dtype == Dtype::bf16 ? kernels::MxSource::bf16 : kernels::MxSource::f16;
}

kernels::MxRule rule_of(ScaleRule rule) {
  if (rule == ScaleRule::search) return kernels::MxRule::search;
  return rule == ScaleRule::minmax ? kernels::MxRule::minmax : kernels::MxRule::compressed_tensors;
}

void refuse_nan(std::span<const std::byte> scales, std::int64_t groups) {
  const void* const found = std::memchr(scales.data(), 0xff, scales.size());
  if (found == nullptr) return;
  const std::int64_t at = static_cast<const std::byte*>(found) - scales.data();
  fail(Fault::input, "weight_scale: byte {} (row {}, columns from {}) is 255, which is NaN in E8M0; expected 0 to 254",
       at, at / groups, at % groups * group);
}

}  // namespace

std::vector<Field> mx_weight_fields(MxElement element, const Shape& weight) {
  const std::int64_t groups = weight[1] / group;
  return {{std::string(codes_suffix(element)), codes_dtype(element), {weight[0], groups * mx_code_bytes(element)}},
          {"weight_scale", Dtype::u8, {weight[0], groups}}};
}

void mx_encode_weight(MxElement element, const WeightView& weight, const EncodeContext& context,
                      std::span<const std::span<std::byte>> out) {
  const std::int64_t groups = weight.cols / group, code_bytes = groups * mx_code_bytes(element);
  auto* const codes = reinterpret_cast<std::uint8_t*>(out[0].data());
  auto* const scales = reinterpret_cast<std::uint8_t*>(out[1].data());
  const kernels::MxSource source = source_of(weight.dtype);
  const std::int64_t row_bytes = weight.cols * static_cast<std::int64_t>(dtype_bytes(weight.dtype));
  const float* const weights = context.column_weight.empty() ? nullptr : context.column_weight.data();
  const auto encode = [&](std::int64_t row, std::int64_t rows) {
    const kernels::MxWeight part{.values = static_cast<const std::byte*>(weight.data) + row * row_bytes,
                                 .source = source,
                                 .count = rows * weight.cols,
                                 .column_weight = weights};
    kernels::mx_encode(part, element, rule_of(context.rule), codes + row * code_bytes, scales + row * groups);
  };
  for_row_blocks(weight.rows, weight.cols, [&](std::int64_t first, std::int64_t end) {
    if (weights == nullptr) return encode(first, end - first);
    for (std::int64_t row = first; row != end; ++row) encode(row, 1);  // column weights are those of one row
  });
}

void mx_decode_weight(MxElement element, std::span<const Field> stored,
                      std::span<const std::span<const std::byte>> bytes, const Shape& weight, std::span<float> out) {
  const StoredFields fields(stored, bytes);
  const std::int64_t rows = weight[0], cols = weight[1], groups = cols / group;
  const std::int64_t code_bytes = groups * mx_code_bytes(element);
  const auto packed = fields.raw(codes_suffix(element), codes_dtype(element), rows * code_bytes);
  const auto powers = fields.raw("weight_scale", Dtype::u8, rows * groups);
  refuse_nan(powers, groups);
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(packed.data());
  const auto* const scales = reinterpret_cast<const std::uint8_t*>(powers.data());
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    kernels::mx_decode(codes + first * code_bytes, scales + first * groups, element, (end - first) * cols,
                       out.data() + first * cols);
  });
}

void mx_quantize_input(MxElement element, kernels::MxInputRule rule, std::span<float> x, std::int64_t rows,
                       std::int64_t cols) {
  for_row_blocks(rows, cols, [&](std::int64_t first, std::int64_t end) {
    kernels::mx_fake_quantize(x.data() + first * cols, (end - first) * cols, element, rule);
  });
}

}  // namespace strata
