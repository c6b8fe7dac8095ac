#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/boundary.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <tbb/global_control.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <numeric>
#include <optional>

#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;

namespace {

constexpr std::int64_t samples = 7, tokens = 300, hidden = 4;  // three samples a block, one in the last

struct Fixture {
  test::TemporaryFolder folder;
  Budget memory{"memory", 1u << 24};
  BoundaryShape shape = boundary_shape(samples, tokens, hidden);
  bool in_memory = GENERATE(true, false);

  Boundary make() { return in_memory ? Boundary(shape, memory) : Boundary(shape, memory, folder.file("scratch")); }
};

std::vector<float> block_values(const BoundaryShape& shape, std::int64_t block) {
  std::vector<float> values(shape.values_in(block));
  std::iota(values.begin(), values.end(), static_cast<float>(block * 10'000));
  return values;
}

void fill(Boundary& boundary) {
  for (std::int64_t block = 0; block < boundary.shape().blocks(); ++block)
    boundary.store(block, block_values(boundary.shape(), block));
}

std::vector<float> loaded(const Boundary& boundary, std::int64_t block) {
  const at::Tensor x = boundary.load(block);
  return {x.const_data_ptr<float>(), x.const_data_ptr<float>() + x.numel()};
}

}  // namespace

TEST_CASE("blocks of samples come back as they were stored, the smaller last one too") {
  Fixture fixture;
  REQUIRE(fixture.shape.blocks() == 3);
  Boundary boundary = fixture.make();
  fill(boundary);
  for (std::int64_t block = 0; block < 3; ++block) {
    CHECK(loaded(boundary, block) == block_values(fixture.shape, block));
    CHECK(boundary.load(block).size(0) == (block == 2 ? 1 : 3));
  }
  CHECK(boundary.first_values(5) == std::vector<float>{0, 1, 2, 3, 4});
  CHECK(boundary.first_values(1u << 20) == block_values(fixture.shape, 0));
  CHECK(boundary.in_memory() == fixture.in_memory);
  CHECK((fixture.memory.used() > 0) == fixture.in_memory);
}

TEST_CASE("an advance gives every block to the function, and stores what it gives, if anything") {
  Fixture fixture;
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, 3);
  Boundary boundary = fixture.make();
  fill(boundary);
  std::vector<std::int64_t> finished;
  advance(boundary, nullptr, [&](std::int64_t block, const at::Tensor& x, Finish& finish) {
    finish = [&finished, block] { finished.push_back(block); };
    return block == 1 ? at::Tensor() : x * 2 + 1;
  });
  CHECK(finished == std::vector<std::int64_t>{0, 1, 2});
  for (std::int64_t block = 0; block < 3; ++block) {
    std::vector<float> expected = block_values(fixture.shape, block);
    if (block != 1)
      for (float& value : expected) value = value * 2 + 1;
    CHECK(loaded(boundary, block) == expected);
  }
}

TEST_CASE("an advance ends with what the function throws, or with the request to stop") {
  Fixture fixture;
  Boundary boundary = fixture.make();
  fill(boundary);
  const Error error = test::thrown_by([&] {
    advance(boundary, nullptr, [](std::int64_t block, const at::Tensor& x, Finish&) -> at::Tensor {
      if (block == 1) fail(Fault::input, "layer: planted");
      return x;
    });
  });
  CHECK(error.what() == std::string("layer: planted"));
  const StopFlag stop = 15;
  std::atomic<int> calls = 0;
  const Error stopped = test::thrown_by([&] {
    advance(boundary, &stop, [&](std::int64_t, const at::Tensor& x, Finish&) {
      ++calls;
      return x;
    });
  });
  CHECK(stopped.fault == Fault::interrupted);
  CHECK(calls == 0);
}

TEST_CASE("no more blocks are alive than threads") {
  Fixture fixture;
  const tbb::global_control threads(tbb::global_control::max_allowed_parallelism, 2);
  fixture.shape = boundary_shape(40, 1024, 1);
  Boundary boundary = fixture.make();
  std::atomic<int> alive = 0, most = 0;
  advance(boundary, nullptr, [&](std::int64_t, const at::Tensor&, Finish& finish) {
    const int now = ++alive;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    finish = [&alive] { --alive; };  // until its turn came it holds what it made
    return at::Tensor();
  });
  CHECK(most <= 2);
}

TEST_CASE("a scratch file is gone with its boundary, also when that was moved") {
  const test::TemporaryFolder folder;
  Budget memory("memory", 1u << 20);
  {
    std::optional<Boundary> kept;
    {
      Boundary boundary(boundary_shape(samples, tokens, hidden), memory, folder.file("scratch"));
      fill(boundary);
      kept.emplace(std::move(boundary));
    }
    CHECK(loaded(*kept, 1) == block_values(kept->shape(), 1));
    CHECK(exists(folder.file("scratch")));
  }
  CHECK_FALSE(exists(folder.file("scratch")));
}

TEST_CASE("hidden states that a budget does not hold are refused") {
  Budget memory("memory", samples * tokens * hidden * 4 - 1);
  CHECK(test::thrown_by([&] { Boundary(boundary_shape(samples, tokens, hidden), memory); }).fault == Fault::budget);
}

TEST_CASE("a block has the same number of samples whatever their number") {
  for (const std::int64_t columns : {1, 7, 64, 1000, 1024, 1025, 8192})
    CHECK(boundary_shape(3, columns, 8).samples_per_block == boundary_shape(3000, columns, 64).samples_per_block);
}
