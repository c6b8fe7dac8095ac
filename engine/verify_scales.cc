// Rules about the fields of one quantized Linear: types, shapes, values that no decoder survives.
#include <algorithm>
#include <cmath>

#include "engine/verify_rules.h"
#include "formats/weights.h"

namespace strata::rule {
namespace {

using Check = std::function<void(const LinearSpec&, const Field&, const TensorInfo&)>;

// Every field that is there in the shape that its format gives it.
void for_each_field(const VerifyContext& context, const Check& check) {
  for (const auto& layer : context.layers)
    for (const LinearSpec* linear : layer) {
      const NumberFormat* const format = context.format(*linear);
      if (format == nullptr) continue;
      for (const Field& field : format->fields({linear->out, linear->in}, Dtype::bf16, ScaleRule::minmax))
        if (const TensorInfo* tensor = context.field(*linear, field)) check(*linear, field, *tensor);
    }
}

bool is_scalar_scale(const Field& field) {
  return field.suffix.ends_with("global_scale") || field.suffix == "input_scale";
}

bool is_plain_float(Dtype dtype) { return dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32; }

// The first byte that is wrong, and how many are.
struct BadBytes {
  std::uint64_t count = 0, first = 0;
  std::byte value{};
};

BadBytes find_bytes(const VerifyContext& context, const TensorInfo& tensor, bool (*bad)(std::byte)) {
  BadBytes found;
  read_pieces(context.output.checkpoint, tensor, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    for (std::size_t i = 0; i < piece.size(); ++i) {
      if (!bad(piece[i])) continue;
      if (found.count++ > 0) continue;
      found.first = at + i;
      found.value = piece[i];
    }
    return true;
  });
  return found;
}

// Whether the codes under one scale are anything but zero. Integers are stored as code + 8.
bool has_codes(const VerifyContext& context, const TensorInfo& codes, std::uint64_t begin, std::uint64_t bytes) {
  std::vector<std::byte> part(bytes);
  context.output.checkpoint.read(codes, part, begin);
  if (codes.dtype == Dtype::i32) return std::ranges::any_of(part, [](std::byte b) { return b != std::byte{0x88}; });
  return std::ranges::any_of(part, [](std::byte b) { return (b & std::byte{0x7f}) != std::byte{0}; });
}

void check_float_scales(const VerifyContext& context, const LinearSpec& linear, const TensorInfo& scales,
                        Findings& findings) {
  const TensorInfo* codes = context.output.checkpoint.find(linear.module + ".weight_packed");
  if (codes == nullptr) codes = context.output.checkpoint.find(linear.module + ".weight");
  std::vector<std::byte> bytes(scales.bytes);
  context.output.checkpoint.read(scales, bytes);
  std::vector<float> values(element_count(scales.shape).value());
  widen(scales.dtype, bytes, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0) {
      findings.add(scales.name, "element {} of {} is {}, expected a finite number above 0", i, values.size(),
                   values[i]);
      return;
    }
    if (values[i] > 0 || codes == nullptr) continue;
    const std::uint64_t per_scale = codes->bytes / values.size();
    if (!has_codes(context, *codes, i * per_scale, per_scale)) continue;
    findings.add(scales.name, "element {} of {} is 0, but the codes under it are not", i, values.size());
    return;
  }
}

}  // namespace

// Loaders read scales per tensor as float32; a narrower one would be converted after it lost its bits.
void field_dtype(const VerifyContext& context, Findings& findings) {
  for_each_field(context, [&](const LinearSpec&, const Field& field, const TensorInfo& tensor) {
    if (field.dtype == Dtype::f32 && tensor.dtype != Dtype::f32)
      findings.add(tensor.name, "is stored as {}, expected F32", dtype_name(tensor.dtype));
  });
}

void weight_shape(const VerifyContext& context, Findings& findings) {
  for_each_field(context, [&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (field.suffix != "weight_shape" || tensor.dtype != Dtype::i64) return;
    Shape stored(2);
    context.output.checkpoint.read(tensor, std::as_writable_bytes(std::span(stored)));
    if (const Shape expected = {linear.out, linear.in}; stored != expected)
      findings.add(tensor.name, "says {}, the weight is {}", shape_text(stored), shape_text(expected));
  });
}

void global_scales(const VerifyContext& context, Findings& findings) {
  for_each_field(context, [&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (!is_scalar_scale(field)) return;
    const std::optional<float> value = context.scalar(linear, field.suffix);
    if (value && (!std::isfinite(*value) || *value <= 0))
      findings.add(tensor.name, "is {}, expected a finite number above 0", *value);
  });
}

void scale_range(const VerifyContext& context, Findings& findings) {
  for_each_field(context, [&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (!field.suffix.starts_with("weight_scale")) return;
    if (is_plain_float(tensor.dtype)) {
      check_float_scales(context, linear, tensor, findings);
    } else if (tensor.dtype == Dtype::f8_e4m3) {
      const BadBytes bad = find_bytes(context, tensor, [](std::byte b) { return b >= std::byte{0x7f}; });
      if (bad.count > 0)
        findings.add(tensor.name, "byte {} is 0x{:02x}, expected 0x00 to 0x7e (no NaN, no sign); {} of {} are so",
                     bad.first, std::to_integer<int>(bad.value), bad.count, tensor.bytes);
    }
  });
}

void codes(const VerifyContext& context, Findings& findings) {
  for_each_field(context, [&](const LinearSpec&, const Field& field, const TensorInfo& tensor) {
    if (field.suffix != "weight" || tensor.dtype != Dtype::f8_e4m3) return;
    const BadBytes bad =
        find_bytes(context, tensor, [](std::byte b) { return (b & std::byte{0x7f}) == std::byte{0x7f}; });
    if (bad.count > 0)
      findings.add(tensor.name, "code {} is 0x{:02x}, which is NaN; {} of {} are so", bad.first,
                   std::to_integer<int>(bad.value), bad.count, tensor.bytes);
  });
}

}  // namespace strata::rule
