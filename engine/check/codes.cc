#include "engine/check/codes.h"

#include <algorithm>
#include <cstring>

#include "engine/check/stored.h"
#include "engine/plan/tied_head.h"

namespace strata {
namespace {

// Bits that are clear in a code of zero: all but the sign of floats; integers in words are stored offset.
bool is_zero_byte(const CodeBits& codes, std::size_t place, std::byte byte) {
  switch (codes.tensor->dtype) {
    case Dtype::i32:
      return byte == (codes.bits == 4 ? std::byte{0x88} : std::byte{0x80});
    case Dtype::u8: {
      // Signs of four 6-bit codes in three bytes: bits 5, 11, 17, 23.
      static constexpr std::byte six[] = {std::byte{0xdf}, std::byte{0xf7}, std::byte{0x7d}};
      return (byte & (codes.bits == 6 ? six[place % 3] : std::byte{0x77})) == std::byte{0};
    }
    case Dtype::i8:
      return byte == std::byte{0};
    default:  // FP8
      return (byte & std::byte{0x7f}) == std::byte{0};
  }
}

// `count` codes of a row from column `left` on.
bool any_code_in(const VerifyContext& context, const CodeBits& codes, std::int64_t row, std::int64_t left,
                 std::int64_t count) {
  const std::int64_t row_bytes = static_cast<std::int64_t>(codes.tensor->bytes) / codes.rows;
  std::vector<std::byte> bytes(static_cast<std::size_t>(count * codes.bits / 8));
  context.output.checkpoint.read(*codes.tensor, bytes,
                                 static_cast<std::uint64_t>(row * row_bytes + left * codes.bits / 8));
  return any_code(codes, bytes);
}

}  // namespace

std::optional<CodeBits> code_bits(const VerifyContext& context, const LinearSpec& linear) {
  const std::vector<Field> fields = context.fields_of(linear);
  const TensorInfo* const tensor = context.field(linear, code_field(fields));
  if (tensor == nullptr || linear.out == 0 || linear.in == 0) return std::nullopt;
  return CodeBits{tensor, context.format(linear)->scheme.weights.bits, linear.out, linear.in};
}

// so.
bool holds_codes_of_source(const VerifyContext& context, const LinearSpec& linear) {
  if (context.source == nullptr) return false;
  for (const char* const here : {"weight", "weight_packed"})
    for (const char* const there : {"weight", "weight_packed"}) {
      const TensorInfo* const codes = context.tensor(linear, here);
      const TensorInfo* const from = context.source->find(fmt::format("{}.{}", linear.module, there));
      if (codes == nullptr || from == nullptr || is_plain_float(codes->dtype)) continue;
      if (same_tensor({context.output.checkpoint, *codes}, {*context.source, *from}, context.stop)) return true;
    }
  return false;
}

bool any_code(const CodeBits& codes, std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (!is_zero_byte(codes, i, bytes[i])) return true;
  return false;
}

bool any_code_under(const VerifyContext& context, const CodeBits& codes, const Shape& scales, std::int64_t index) {
  const std::int64_t down = scales.size() == 2 ? scales[0] : 1, across = scales.size() == 2 ? scales[1] : 1;
  const std::int64_t rows = (codes.rows + down - 1) / down, cols = (codes.cols + across - 1) / across;
  const std::int64_t top = index / across * rows, left = index % across * cols;
  const std::int64_t width = std::min(cols, codes.cols - left);
  for (std::int64_t row = top; row < std::min(codes.rows, top + rows); ++row)
    if (any_code_in(context, codes, row, left, width)) return true;
  return false;
}

double largest_code(const CodeBits& codes) {
  switch (codes.tensor->dtype) {
    case Dtype::i32:
    case Dtype::i8:
      return static_cast<double>(std::int64_t{1} << (codes.bits - 1));
    case Dtype::u8:
      return codes.bits == 6 ? 7.5 : 6;
    default:
      return 448;
  }
}

namespace {

constexpr std::uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;

bool any_zero_byte(std::uint64_t word) { return ((word - ones) & ~word & tops) != 0; }

}  // namespace

const ByteClass nan_codes{[](std::byte b) { return (b & std::byte{0x7f}) == std::byte{0x7f}; },
                          [](std::uint64_t word) { return (((word & ~tops) + ones) & tops) != 0; }};
const ByteClass negative_or_nan_codes{[](std::byte b) { return b >= std::byte{0x7f}; },
                                      [](std::uint64_t word) { return ((word | (word + ones)) & tops) != 0; }};
const ByteClass extreme_exponents{[](std::byte b) { return b == std::byte{0} || b == std::byte{0xff}; },
                                  [](std::uint64_t word) { return any_zero_byte(word) || any_zero_byte(~word); }};

std::size_t find_byte(std::span<const std::byte> bytes, std::size_t start, const ByteClass& wanted) {
  std::size_t i = start;
  while (i < bytes.size()) {
    std::uint64_t word = 0;
    if (i + sizeof word <= bytes.size()) {
      std::memcpy(&word, bytes.data() + i, sizeof word);
      if (!wanted.maybe(word)) {
        i += sizeof word;
        continue;
      }
    }
    const std::size_t end = std::min(bytes.size(), i + sizeof word);
    for (; i < end; ++i)
      if (wanted.has(bytes[i])) return i;
  }
  return bytes.size();
}

}  // namespace strata
