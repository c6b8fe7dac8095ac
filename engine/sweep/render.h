// Encoded Linears on their way to the output.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/leased_buffer.h"
#include "formats/number_format.h"
#include "profiles/model_spec.h"

namespace strata {

// One encoded Linear: the bytes of its written_fields(). They lie in the memory of the set or, where a format copies
// them, in the source's bytes, and last until the part is done; whoever wants them longer shares both facts.
struct Render {
  const LinearSpec* linear = nullptr;
  std::vector<Field> fields;
  std::vector<std::span<const std::byte>> bytes;
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t late = none;  // the field whose value is known only when the layer ends: an input scale
};

// Those of a part.
struct RenderSet {
  std::vector<Render> renders;
  std::shared_ptr<LeasedBuffer> memory;  // nullptr where nothing is encoded
};

// A small tensor, or the field of a Linear, that became known when the layer ended.
struct OutputTensor {
  const LinearSpec* linear = nullptr;
  std::size_t field = 0;  // of written_fields()
  std::vector<std::byte> bytes;
};

}  // namespace strata
