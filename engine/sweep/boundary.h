// Hidden states between two layers: float32 [samples, tokens, hidden], a block of samples at a time. They are in
// memory, or where that is short in a scratch file. A sweep overwrites them layer by layer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/interrupt.h"
#include "cache/boundary_shape.h"
#include "engine/device/device.h"

namespace at {
class Tensor;
}

namespace strata {

class BoundaryReader;

// Samples that go through a layer at once: about 1024 tokens, so that temporaries stay in the caches and memory does
// not depend on the number of samples. Results of a matrix product depend on its number of rows, so the block is never
// anything else, whatever the budget.
BoundaryShape boundary_shape(std::int64_t samples, std::int64_t tokens, std::int64_t hidden,
                             BoundaryType type = BoundaryType::f32);

// Of all hidden states, and of one block of them, as float32.
std::uint64_t float_bytes(const BoundaryShape& shape);
std::uint64_t block_float_bytes(const BoundaryShape& shape);

// Different blocks may be used by different threads at once.
class Boundary {
 public:
  Boundary(const BoundaryShape& shape, const Device& device);                                   // in memory
  Boundary(const BoundaryShape& shape, const Device& device, const std::string& scratch_file);  // removed at the end
  ~Boundary();
  Boundary(Boundary&&) noexcept;

  const BoundaryShape& shape() const { return shape_; }
  bool in_memory() const { return !file_; }

  // [n, tokens, hidden]. In memory it shares what is stored: whoever changes it changes the boundary.
  at::Tensor load(std::int64_t block) const;
  void store(std::int64_t block, const at::Tensor& values);
  void store(std::int64_t block, std::span<const float> values);

  // All of a file of the same shape. Error{io} when it does not hold it.
  void restore(const BoundaryReader& kept, Budget& memory, const StopFlag* stop);

  std::vector<float> first_values(std::size_t count) const;  // at most those of the first block

  // In memory only: samples [first, first + count).
  std::span<float> values(std::int64_t first, std::int64_t count);
  at::Tensor samples(std::int64_t first, std::int64_t count) const;

 private:
  struct Scratch;
  BoundaryShape shape_;
  Device device_;
  DeviceBuffer buffer_;
  std::unique_ptr<Scratch> file_;
};

using Finish = std::function<void()>;

// Whether what is computed can be differentiated. It is a property of a sweep: gradients cost memory and time.
enum class Grad : bool { off, on };

// Calls `forward` for every block with its hidden states, in parallel over blocks, and stores what it gives in their
// place (nothing where it gives an undefined tensor). libtorch runs on one thread inside a block (ComputeSession), so
// the result does not depend on the number of threads; at most one block a thread is alive. What `forward` puts into
// `finish` is called when its turn comes: one block at a time, in their order, so that sums do not depend on the
// number of threads. Error{interrupted} between blocks when `stop` is set.
using BlockForward = std::function<at::Tensor(std::int64_t block, const at::Tensor& x, Finish& finish)>;
void advance(Boundary& boundary, const StopFlag* stop, const BlockForward& forward);

// Calls `body` for every block, in parallel, under the same rules; nothing is stored. What it gives is called in the
// order of the blocks.
using BlockVisit = std::function<Finish(std::int64_t block)>;
void visit_blocks(std::int64_t blocks, const StopFlag* stop, Grad grad, const BlockVisit& body);

}  // namespace strata
