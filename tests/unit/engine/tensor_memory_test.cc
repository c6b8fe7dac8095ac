#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/tensor_memory.h"

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
  const std::uint64_t kept = budget.used();
  const at::Tensor small = tensor(mib);
  CHECK(budget.used() > kept);
}
