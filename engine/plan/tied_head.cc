#include "engine/plan/tied_head.h"

#include <algorithm>

#include "base/buffer.h"

namespace strata {

bool config_ties_head(const Config& config) {
  const char* const key = "tie_word_embeddings";
  return (config.has(key) ? config : text_config(config)).boolean_or(key, false);
}

bool same_tensor(const TensorOf& a, const TensorOf& b, const StopFlag* stop) {
  if (a.tensor.dtype != b.tensor.dtype || a.tensor.shape != b.tensor.shape) return false;
  constexpr std::uint64_t most = 8u << 20;
  const std::uint64_t bytes = a.tensor.bytes;
  Buffer left(std::min(most, bytes)), right(std::min(most, bytes));
  for (std::uint64_t at = 0; at < bytes; at += most) {
    check_interrupt(stop);
    const std::uint64_t count = std::min(most, bytes - at);
    const std::span<std::byte> here = left.bytes().first(count), there = right.bytes().first(count);
    a.checkpoint.read(a.tensor, here, at);
    b.checkpoint.read(b.tensor, there, at);
    if (!std::ranges::equal(here, there)) return false;
  }
  return true;
}

}  // namespace strata
