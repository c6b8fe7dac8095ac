// Rules about the values of scales and codes: nothing that a kernel does not survive.
#include <algorithm>
#include <cmath>

#include "engine/check/codes.h"
#include "engine/check/rules.h"
#include "formats/weight/weights.h"

namespace strata::rule {
namespace {

// Kernels divide by these or take them as a whole tensor's factor.
bool is_positive_scalar(const Field& field) {
  return field.suffix.ends_with("global_scale") || field.suffix == "input_scale";
}

// The first byte that is wrong, and how many are.
struct BadBytes {
  std::uint64_t count = 0, first = 0;
  std::byte value{};
};

// Looks at the first `most` bytes.
BadBytes find_bytes(const VerifyContext& context, const TensorInfo& tensor, std::uint64_t most, const ByteClass& bad) {
  BadBytes found;
  read_pieces(context.output.checkpoint, tensor, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    for (std::size_t i = find_byte(piece, 0, bad); i < piece.size(); i = find_byte(piece, i + 1, bad)) {
      if (found.count++ > 0) continue;
      found.first = at + i;
      found.value = piece[i];
    }
    return at + piece.size() < most;
  });
  return found;
}

// Why a plain scale is wrong, or nothing. Integers may have negative scales: a range that is not symmetric is
// used in full that way.
std::string_view wrong_scale(float value, bool integer_codes) {
  if (!std::isfinite(value)) return "expected a finite number";
  if (value < 0 && !integer_codes) return "expected a number above 0";
  return {};
}

void check_float_scales(const VerifyContext& context, const LinearSpec& linear, const CodeBits& codes,
                        const TensorInfo& scales, Findings& findings) {
  const bool zero_point = context.tensor(linear, "weight_zero_point") != nullptr;
  const bool integers = codes.tensor->dtype == Dtype::i32 || codes.tensor->dtype == Dtype::i8;
  const std::uint64_t count = element_count(scales.shape).value(), size = dtype_bytes(scales.dtype);
  std::vector<float> values;
  read_pieces(context.output.checkpoint, scales, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    values.resize(piece.size() / size);
    widen(scales.dtype, piece, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint64_t index = at / size + i;
      if (const std::string_view wrong = wrong_scale(values[i], integers); !wrong.empty()) {
        findings.judge(!holds_codes_of_source(context, linear), scales.name, "element {} of {} is {}, {}", index, count,
                       values[i], wrong);
        return false;
      }
      if (values[i] != 0 || zero_point) continue;
      if (!any_code_under(context, codes, scales.shape, static_cast<std::int64_t>(index))) continue;
      findings.judge(!holds_codes_of_source(context, linear), scales.name,
                     "element {} of {} is 0, but the codes under it are not", index, count);
      return false;
    }
    return true;
  });
}

// 2^(byte - 127). Byte 255 is NaN. Byte 0 is 2^-127, which decoders flush to zero: fine where all codes are zero, and
// with a source weight-error says whether the weights were that small.
void check_exponents(const VerifyContext& context, const LinearSpec& linear, const CodeBits& codes,
                     const TensorInfo& scales, Findings& findings) {
  read_pieces(context.output.checkpoint, scales, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    for (std::size_t i = find_byte(piece, 0, extreme_exponents); i < piece.size();
         i = find_byte(piece, i + 1, extreme_exponents)) {
      const std::uint64_t index = at + i;
      const bool nan = piece[i] == std::byte{0xff};
      if (!nan && !any_code_under(context, codes, scales.shape, static_cast<std::int64_t>(index))) continue;
      const bool judged_elsewhere = !nan && context.source != nullptr;
      findings.judge(
          !judged_elsewhere && !holds_codes_of_source(context, linear), scales.name, "byte {} of {} is 0x{:02x}, {}",
          index, scales.bytes, std::to_integer<int>(piece[i]),
          nan ? "which is NaN; expected 1 to 254" : "but the codes under it are not zero; expected 1 to 254");
      return false;
    }
    return true;
  });
}

void check_scales(const VerifyContext& context, const LinearSpec& linear, const TensorInfo& scales,
                  Findings& findings) {
  if (scales.dtype == Dtype::f8_e4m3) {
    const BadBytes bad = find_bytes(context, scales, scales.bytes, negative_or_nan_codes);
    if (bad.count > 0)
      findings.judge(!holds_codes_of_source(context, linear), scales.name,
                     "byte {} is 0x{:02x}, expected 0x00 to 0x7e (no NaN, no sign); {} of {} are so", bad.first,
                     std::to_integer<int>(bad.value), bad.count, scales.bytes);
    return;
  }
  const std::optional<CodeBits> codes = code_bits(context, linear);
  if (!codes) return;
  if (is_plain_float(scales.dtype))
    check_float_scales(context, linear, *codes, scales, findings);
  else if (scales.dtype == Dtype::u8)
    check_exponents(context, linear, *codes, scales, findings);
}

}  // namespace

void global_scales(const VerifyContext& context, Findings& findings) {
  context.for_each_field([&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (!is_positive_scalar(field)) return;
    const std::optional<float> value = context.scalar(linear, field.suffix);
    if (value && (!std::isfinite(*value) || *value <= 0))
      findings.judge(!holds_codes_of_source(context, linear), tensor.name, "is {}, expected a finite number above 0",
                     *value);
  });
}

// A scale that was stored the other way round is finite and above 0; only its size gives it away. 2688 = 448 * 6 is
// what a global scale makes of the largest weight: below 1 it stands for weights above 2688, of which no model
// has one, and its reciprocal for common ones. Inputs are larger; none are near a million. What looks so may be right
// all the same: with a source `weight-error` decides, and our own scales of inputs are what calibration saw.
void scale_direction(const VerifyContext& context, Findings& findings) {
  constexpr double largest_weight = 2688, largest_input = 1e6;
  context.for_each_field([&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    const std::optional<float> value = context.scalar(linear, field.suffix);
    if (!value || !std::isfinite(*value) || *value <= 0) return;
    const std::optional<CodeBits> codes = code_bits(context, linear);
    const bool input = field.suffix.starts_with("input_");
    double amax = 0;
    if (field.suffix.ends_with("global_scale"))
      amax = 2688 / static_cast<double>(*value);
    else if (field.suffix == "input_scale")
      amax = 448 * static_cast<double>(*value);
    else if (field.suffix == "weight_scale" && codes)
      amax = largest_code(*codes) * static_cast<double>(*value);
    if (amax <= (input ? largest_input : largest_weight)) return;
    const bool fails = input ? !context.ours : context.source == nullptr;
    findings.judge(
        fails, tensor.name,
        "is {:.4g}, which stands for {} up to {:.3g}; its reciprocal was stored, or this is no trained model", *value,
        input ? "inputs" : "weights", amax);
  });
}

void scale_range(const VerifyContext& context, Findings& findings) {
  context.for_each_field([&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (field.suffix == "weight_scale") check_scales(context, linear, tensor, findings);
  });
}

// Without --deep the first MiB of each weight: what breaks a writer breaks it there too.
void codes(const VerifyContext& context, Findings& findings) {
  constexpr std::uint64_t glance = 1u << 20;
  context.for_each_field([&](const LinearSpec& linear, const Field& field, const TensorInfo& tensor) {
    if (field.suffix != "weight" || tensor.dtype != Dtype::f8_e4m3) return;
    const BadBytes bad = find_bytes(context, tensor, context.deep ? tensor.bytes : glance, nan_codes);
    if (bad.count > 0)
      findings.judge(!holds_codes_of_source(context, linear), tensor.name,
                     "code {} is 0x{:02x}, which is NaN; {} of {} are so", bad.first, std::to_integer<int>(bad.value),
                     bad.count, tensor.bytes);
  });
}

}  // namespace strata::rule
