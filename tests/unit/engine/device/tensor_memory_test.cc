#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/device/tensor_memory.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/support/thrown.h"

using namespace strata;

namespace {

constexpr std::int64_t mib = 1 << 20;

at::Tensor tensor(std::int64_t bytes) { return at::empty({bytes}, at::kByte); }

}  // namespace

TEST_CASE("tensors are leased, refused beyond the budget, and given back") {
  use_own_tensor_memory();
  Budget budget("memory", 10 * mib);
  {
    const TensorMemoryLimit limit(budget);
    at::Tensor large = tensor(8 * mib);
    CHECK(budget.used() >= 8 * mib);
    CHECK(test::thrown_by([] { tensor(4 * mib); }).fault == Fault::budget);
    large.reset();
    CHECK(budget.used() >= 8 * mib);  // kept for the next of its kind
    const std::uint64_t before = budget.used();
    large = tensor(6 * mib);
    CHECK(budget.used() == before);
    large.reset();
    large = tensor(9 * mib);  // for which the kept block makes room
    CHECK(budget.used() <= 10 * mib);
    const at::Tensor small = tensor(1000);  // the heap's
    CHECK(budget.used() <= 10 * mib);
    large.reset();
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("a block serves nobody who needs less than half of it") {
  use_own_tensor_memory();
  Budget budget("memory", 64 * mib);
  const TensorMemoryLimit limit(budget);
  { const at::Tensor large = tensor(16 * mib); }
  const at::Tensor small = tensor(mib);
  CHECK(budget.used() == mib);
}

TEST_CASE("blocks of many sizes together take no more than was in use at once") {
  use_own_tensor_memory();
  Budget budget("memory", 64 * mib);
  const TensorMemoryLimit limit(budget);
  { const at::Tensor first = tensor(8 * mib), second = tensor(4 * mib); }
  for (const std::int64_t bytes : {mib, 2 * mib + 1, 3 * mib, 5 * mib, 8 * mib, mib / 2}) {
    const at::Tensor one = tensor(bytes), other = tensor(bytes / 3);
    CHECK(budget.used() <= 12 * static_cast<std::uint64_t>(mib));
  }
}
