#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/boundary.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace strata {
namespace {

// libtorch's errors carry a stack trace; a refused allocation is the one that a user can do something about.
[[noreturn]] void rethrow(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  const bool memory =
      text.find("allocate memory") != std::string::npos || text.find("not enough memory") != std::string::npos;
  if (memory)
    fail(Fault::budget, "memory: {}; fewer --threads or shorter windows need less", text.substr(0, text.find('\n')));
  fail(Fault::bug, "libtorch: {}", text.substr(0, text.find('\n')));
}

// Isolated: a thread that waits for a loop inside its block must not start a second block meanwhile, or more
// blocks would be alive than the memory plan counts.
template <typename Body>
void run_alone(const Body& body) {
  tbb::this_task_arena::isolate([&] {
    const c10::InferenceMode inference;
    try {
      body();
    } catch (const c10::Error& error) {
      rethrow(error);
    }
  });
}

}  // namespace

Boundary::Boundary(std::int64_t samples, std::int64_t tokens, std::int64_t hidden)
    : samples_(samples), tokens_(tokens), hidden_(hidden), buffer_(memory(samples, tokens, hidden)) {}

std::span<float> Boundary::values(std::int64_t first, std::int64_t count) {
  const auto row = static_cast<std::size_t>(tokens_ * hidden_);
  return {reinterpret_cast<float*>(buffer_.data()) + static_cast<std::size_t>(first) * row,
          static_cast<std::size_t>(count) * row};
}

at::Tensor Boundary::chunk(std::int64_t first, std::int64_t count) const {
  const auto* const data = reinterpret_cast<const float*>(buffer_.data()) + first * tokens_ * hidden_;
  return at::from_blob(const_cast<float*>(data), {count, tokens_, hidden_}, at::kFloat);
}

void Boundary::store(std::int64_t first, const at::Tensor& values) { chunk(first, values.size(0)).copy_(values); }

std::int64_t samples_per_chunk(std::int64_t tokens) { return std::max<std::int64_t>(1, 1024 / tokens); }

void for_each_block(std::int64_t rows, std::int64_t block,
                    const std::function<void(std::int64_t, std::int64_t)>& body) {
  const std::int64_t blocks = (rows + block - 1) / block;
  tbb::parallel_for(std::int64_t{0}, blocks,
                    [&](std::int64_t i) { run_alone([&] { body(i * block, std::min(block, rows - i * block)); }); });
}

void advance(Boundary& boundary, const StopFlag* stop, const std::function<at::Tensor(const at::Tensor&)>& forward) {
  for_each_block(boundary.samples(), samples_per_chunk(boundary.tokens()), [&](std::int64_t first, std::int64_t count) {
    check_interrupt(stop);
    boundary.store(first, forward(boundary.chunk(first, count)));
  });
}

void advance_in_order(Boundary& boundary, const StopFlag* stop,
                      const std::function<at::Tensor(const at::Tensor&, Finish&)>& forward) {
  const std::int64_t samples = boundary.samples(), block = samples_per_chunk(boundary.tokens());
  std::int64_t next = 0;
  const auto start =
      tbb::make_filter<void, std::int64_t>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& flow) {
        const std::int64_t first = next;
        if (first >= samples) flow.stop();
        next += block;
        return first;
      });
  const auto run = tbb::make_filter<std::int64_t, Finish>(tbb::filter_mode::parallel, [&](std::int64_t first) {
    Finish finish;
    run_alone([&] {
      check_interrupt(stop);
      boundary.store(first, forward(boundary.chunk(first, std::min(block, samples - first)), finish));
    });
    return finish;
  });
  const auto end = tbb::make_filter<Finish, void>(tbb::filter_mode::serial_in_order, [](const Finish& finish) {
    if (finish) finish();
  });
  tbb::parallel_pipeline(static_cast<std::size_t>(tbb::this_task_arena::max_concurrency()), start & run & end);
}

}  // namespace strata
