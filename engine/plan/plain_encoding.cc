#include "engine/plan/plain_encoding.h"

#include <cstddef>
#include <vector>

#include "formats/weight/weights.h"

namespace strata {

double plain_squared_error(const NumberFormat& format, const WeightView& weight, std::span<const WeightView> group,
                           float amax) {
  EncodeContext context{.rule = ScaleRule::minmax, .fused_amax = amax, .input_amax = 1};
  if (format.shared_scale != nullptr) context.shared_scale = format.shared_scale(group, context);
  const Shape shape = {weight.rows, weight.cols};
  const std::vector<Field> fields = format.fields(shape, weight.dtype, context.rule);
  std::vector<std::vector<std::byte>> bytes;
  bytes.reserve(fields.size());
  for (const Field& field : fields) bytes.emplace_back(field_bytes(field));
  const std::vector<std::span<std::byte>> out(bytes.begin(), bytes.end());
  format.encode(weight, context, out);
  std::vector<float> decoded(static_cast<std::size_t>(weight.rows * weight.cols));
  const std::vector<std::span<const std::byte>> stored(bytes.begin(), bytes.end());
  format.decode(fields, stored, shape, decoded);
  return encode_error(weight, decoded).squared_error;
}

}  // namespace strata
