#include "engine/device/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <new>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mutex.h"

namespace strata {
namespace {

constexpr std::size_t smallest = 64u << 10;  // what is smaller stays with the heap
constexpr std::size_t cache_line = 64;

struct Block {
  void* data = nullptr;
  std::size_t bytes = 0;
  Lease lease = {};
};

// Thread-safe. A free block serves a request of at least half its size, the smallest that fits first, so that the
// uneven batches of experts share blocks too. All blocks together never take more than was in use at once: where a
// layer routes its tokens otherwise than those before it, free blocks go before new ones come, and the peak does not
// grow with the number of layers.
class BlockPool {
 public:
  Block take(std::size_t bytes) {
    const MutexLock lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    Block block;
    if (found != free_.end() && found->first <= 2 * bytes) {
      block = std::move(found->second);
      free_.erase(found);
    } else {
      block = fresh(align_up(bytes, std::max(smallest, std::bit_floor(bytes) / 8)));
    }
    used_ += block.bytes;
    most_used_ = std::max(most_used_, used_);
    return block;
  }

  void give_back(Block block) {
    const MutexLock lock(mutex_);
    const std::size_t bytes = block.bytes;
    used_ -= bytes;
    free_.emplace(bytes, std::move(block));
  }

  void set_budget(Budget* budget) {
    const MutexLock lock(mutex_);
    while (!free_.empty()) release_largest();
    budget_ = budget;
    most_used_ = used_;
  }

  void release_all() {
    const MutexLock lock(mutex_);
    while (!free_.empty()) release_largest();
  }

 private:
  Block fresh(std::size_t bytes) STRATA_REQUIRES(mutex_) {
    while (!free_.empty() && mapped_ + bytes > most_used_) release_largest();
    Lease lease = budget_ == nullptr ? Lease() : leased(bytes);
    void* const data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
      fail(Fault::budget, "memory: the system refused {} for a tensor; fewer --threads or shorter windows need less",
           human_bytes(bytes));
    mapped_ += bytes;
    return {data, bytes, std::move(lease)};
  }

  // Kept blocks that serve nobody make room.
  Lease leased(std::size_t bytes) STRATA_REQUIRES(mutex_) {
    while (true) {
      if (std::optional<Lease> lease = budget_->try_take(bytes, "tensors")) return std::move(*lease);
      if (free_.empty())
        fail(Fault::budget,
             "memory: {} for a tensor do not fit: {} of {} are in use; fewer --threads or shorter windows need less",
             human_bytes(bytes), human_bytes(budget_->used()), human_bytes(budget_->limit()));
      release_largest();
    }
  }

  void release_largest() STRATA_REQUIRES(mutex_) {
    const auto last = std::prev(free_.end());
    ::munmap(last->second.data, last->second.bytes);
    mapped_ -= last->second.bytes;
    free_.erase(last);
  }

  Mutex mutex_;
  std::multimap<std::size_t, Block> free_ STRATA_GUARDED_BY(mutex_);  // by size
  Budget* budget_ STRATA_GUARDED_BY(mutex_) = nullptr;
  std::size_t mapped_ STRATA_GUARDED_BY(mutex_) = 0;  // bytes of all blocks
  std::size_t used_ STRATA_GUARDED_BY(mutex_) = 0;    // of those that are not free
  std::size_t most_used_ STRATA_GUARDED_BY(mutex_) = 0;
};

// Lives as long as the process: tensors may be freed after anything else.
BlockPool& pool() {
  static auto* const blocks = new BlockPool;
  return *blocks;
}

class TensorAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, c10::Device(c10::DeviceType::CPU)};
    if (bytes < smallest) {
      void* const data = std::aligned_alloc(cache_line, align_up(bytes, cache_line));
      if (data == nullptr) throw std::bad_alloc();
      return {data, data, [](void* memory) { std::free(memory); }, c10::Device(c10::DeviceType::CPU)};
    }
    auto* const block = new Block(pool().take(bytes));
    return {block->data, block, release, c10::Device(c10::DeviceType::CPU)};
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static void release(void* context) {
    const std::unique_ptr<Block> block(static_cast<Block*>(context));
    pool().give_back(std::move(*block));
  }
};

}  // namespace

void use_own_tensor_memory() {
  static TensorAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
}

TensorMemoryLimit::TensorMemoryLimit(Budget& budget) : budget_(budget) {
  pool().set_budget(&budget);
  budget.on_shortage([] { pool().release_all(); });
}
TensorMemoryLimit::~TensorMemoryLimit() {
  budget_.on_shortage({});
  pool().set_budget(nullptr);
}

}  // namespace strata
