// Rules about the fields of one quantized Linear: their shapes and types, to the letter. What holds for a field
// follows from its name and from what the number format declares, not from which format it is.
#include "engine/check/rules.h"

namespace strata::rule {
namespace {

// Calls check for every field that has a tensor, whatever its shape.
template <typename Check>
void for_each_stored(const VerifyContext& context, const Check& check) {
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat* format) {
    if (format == nullptr || context.misfits.contains(linear.module)) return;
    for (const Field& field : context.fields_of(linear))
      if (const TensorInfo* tensor = context.tensor(linear, field.suffix)) check(*format, linear, field, *tensor);
  });
}

}  // namespace

// [1], [] and [1, 1] are not the same to a loader.
void field_shape(const VerifyContext& context, Findings& findings) {
  for_each_stored(context,
                  [&](const NumberFormat& format, const LinearSpec&, const Field& field, const TensorInfo& tensor) {
                    if (tensor.shape == field.shape) return;
                    if (may_be_scalar(field) && tensor.shape.empty())
                      findings.note(tensor.name, "has shape [], {} is what most tools write", shape_text(field.shape));
                    else
                      findings.add(tensor.name, "has shape {}, {} of this weight stores {}", shape_text(tensor.shape),
                                   format.name, shape_text(field.shape));
                  });
}

// A plain scale has the type of the weight it was taken from; a global scale must be exact in float32.
void field_dtype(const VerifyContext& context, Findings& findings) {
  for_each_stored(context,
                  [&](const NumberFormat& format, const LinearSpec&, const Field& field, const TensorInfo& tensor) {
                    if (tensor.dtype == field.dtype) return;
                    const bool exact = field.suffix.ends_with("global_scale") || !is_plain_float(field.dtype);
                    if (!exact && is_plain_float(tensor.dtype)) return;
                    findings.add(tensor.name, "is stored as {}, {} stores {}", dtype_name(tensor.dtype), format.name,
                                 dtype_name(field.dtype));
                  });
}

void weight_shape(const VerifyContext& context, Findings& findings) {
  context.for_each_field([&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (field.suffix != "weight_shape" || tensor.dtype != Dtype::i64) return;
    Shape stored(2);
    context.output.checkpoint.read(tensor, std::as_writable_bytes(std::span(stored)));
    if (const Shape expected = {linear.out, linear.in}; stored != expected)
      findings.add(tensor.name, "says {}, the weight is {}", shape_text(stored), shape_text(expected));
  });
}

// Bits of a packed word beyond the last code are zero: compressed-tensors pads so, and equal weights give equal
// bytes. Zero points are packed along the rows. Codes are packed along the columns: groups divide them, and what
// follows a row without groups is never read as a code.
void padding(const VerifyContext& context, Findings& findings) {
  context.for_each_field([&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (field.suffix != "weight_zero_point" || tensor.dtype != Dtype::i32 || tensor.shape.size() != 2) return;
    const std::int64_t used = linear.out * context.format(linear)->scheme.weights.bits % 32;
    if (used == 0) return;
    const auto columns = static_cast<std::size_t>(tensor.shape[1]);
    std::vector<std::uint32_t> last(columns);  // of the last row of words
    context.output.checkpoint.read(tensor, std::as_writable_bytes(std::span(last)), tensor.bytes - columns * 4);
    for (std::size_t column = 0; column < columns; ++column)
      if (last[column] >> used != 0) {
        findings.judge(context.ours, tensor.name,
                       "column {}: the last word is 0x{:08x}, but only its lowest {} bits are used", column,
                       last[column], used);
        return;
      }
  });
}

}  // namespace strata::rule
