// What the codes of a quantized Linear look like on disk, told from their type and number of bits alone. Each row
// starts at a whole byte; words that its codes do not fill end with bits that are no codes.
#pragma once

#include <cstdint>

#include "engine/check/rules.h"

namespace strata {

struct CodeBits {
  const TensorInfo* tensor = nullptr;  // "weight" or "weight_packed"
  std::int64_t bits = 0;               // of one code
  std::int64_t rows = 0, cols = 0;     // of the weight
};

// nullopt when the tensor is not there.
std::optional<CodeBits> code_bits(const VerifyContext& context, const LinearSpec& linear);

// Whether a Linear holds the very codes of the source. What is wrong with them was wrong before, and `quantize` said
// so: a note.
bool holds_codes_of_source(const VerifyContext& context, const LinearSpec& linear);

// Whether any code in these bytes, which start at a whole word, is not zero.
bool any_code(const CodeBits& codes, std::span<const std::byte> bytes);

// Whether any code under scale number `index` of a scale tensor of this shape is not zero. The scale is one of
// the whole tensor, of a row, of a group of columns or of a block.
bool any_code_under(const VerifyContext& context, const CodeBits& codes, const Shape& scales, std::int64_t index);

// The largest value that a code stands for.
double largest_code(const CodeBits& codes);

// Which byte values a search is for, eight bytes at a time: scales of a large model have gigabytes.
struct ByteClass {
  bool (*has)(std::byte byte);
  bool (*maybe)(std::uint64_t word);  // false when none of its eight bytes is of the class
};
extern const ByteClass nan_codes;              // E4M3: 0x7f, 0xff
extern const ByteClass negative_or_nan_codes;  // E4M3: 0x7f and above
extern const ByteClass extreme_exponents;      // E8M0: 0, 255

// The first place from `start` on whose byte is of the class; bytes.size() when there is none.
std::size_t find_byte(std::span<const std::byte> bytes, std::size_t start, const ByteClass& wanted);

}  // namespace strata
