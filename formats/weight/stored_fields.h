// What the number formats share: which shapes they refuse, and how they read the fields of an encoded
// Linear, ours or another tool's, into float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/number_format.h"

namespace strata {

// The fields of one encoded Linear, in any order. Fields that nobody asks for are ignored. The views
// outlive it. Every violation is Error{input} that names the field and both numbers.
class StoredFields {
 public:
  StoredFields(std::span<const Field> fields, std::span<const std::span<const std::byte>> bytes)
      : fields_(fields), bytes_(bytes) {}

  // Bytes of a field of this element type and this many elements.
  std::span<const std::byte> raw(std::string_view suffix, Dtype dtype, std::int64_t elements) const;

  // A field of any float type (F8_E4M3 too) with one of two element counts.
  std::vector<float> floats(std::string_view suffix, std::int64_t elements, std::int64_t or_elements) const;
  std::vector<float> floats(std::string_view suffix, std::int64_t elements) const {
    return floats(suffix, elements, elements);
  }

  // The same for many, straight into their place.
  void read_floats(std::string_view suffix, std::span<float> out) const;

  // A finite, positive scalar: [], [1] or [1, 1].
  float positive_scalar(std::string_view suffix) const;

 private:
  std::size_t index_of(std::string_view suffix) const;
  std::span<const Field> fields_;
  std::span<const std::span<const std::byte>> bytes_;
};

// Why `weight` is not a matrix whose rows are cut into groups of `group` columns; nullopt when it is.
std::optional<std::string> group_refusal(const Shape& weight, std::int64_t group);

}  // namespace strata
