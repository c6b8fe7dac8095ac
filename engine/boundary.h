// Hidden states between two layers: float32 [samples, tokens, hidden], in memory. A sweep overwrites them
// layer by layer, a few samples at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/buffer.h"
#include "base/interrupt.h"

namespace at {
class Tensor;
}

namespace strata {

class Boundary {
 public:
  Boundary(std::int64_t samples, std::int64_t tokens, std::int64_t hidden);

  std::int64_t samples() const { return samples_; }
  std::int64_t tokens() const { return tokens_; }

  at::Tensor chunk(std::int64_t first, std::int64_t count) const;  // [count, tokens, hidden], shares the memory
  std::span<float> values(std::int64_t first, std::int64_t count);
  void store(std::int64_t first, const at::Tensor& values);

  static std::uint64_t memory(std::int64_t samples, std::int64_t tokens, std::int64_t hidden) {
    return static_cast<std::uint64_t>(samples * tokens * hidden) * sizeof(float);
  }

 private:
  std::int64_t samples_, tokens_, hidden_;
  Buffer buffer_;
};

// Samples that go through a layer at once: about 1024 tokens, so that temporaries stay in the caches and
// memory does not depend on the number of samples.
std::int64_t samples_per_chunk(std::int64_t tokens);

// Replaces every sample by `forward` of it, a chunk at a time, in parallel over chunks. libtorch runs on one
// thread inside a chunk (ComputeSession), so the result does not depend on the number of threads; at most one
// chunk a thread is alive. `forward` is called concurrently. Error{interrupted} between chunks when `stop` is set.
void advance(Boundary& boundary, const StopFlag* stop,
             const std::function<at::Tensor(const at::Tensor& chunk)>& forward);

// The same. What `forward` puts into `finish` is called when its turn comes: one chunk at a time, in the order of
// the chunks, so that sums do not depend on the number of threads.
using Finish = std::function<void()>;
void advance_in_order(Boundary& boundary, const StopFlag* stop,
                      const std::function<at::Tensor(const at::Tensor& chunk, Finish& finish)>& forward);

// Calls `body` for blocks [first, first + count) of [0, rows), in parallel, under the same rules.
void for_each_block(std::int64_t rows, std::int64_t block, const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace strata
