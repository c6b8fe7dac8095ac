#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/boundary.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "base/leased_buffer.h"
#include "cache/boundary_file.h"
#include "engine/device/torch_errors.h"

namespace strata {
namespace {

// Isolated: a thread that waits for a loop inside its block must not start a second block meanwhile, or more
// blocks would be alive than the memory plan counts.
template <typename Body>
void run_alone(Grad grad, const Body& body) {
  tbb::this_task_arena::isolate([&] {
    const c10::InferenceMode inference(grad == Grad::off);
    const c10::AutoGradMode gradients(grad == Grad::on);
    with_torch_errors(body);
  });
}

}  // namespace

BoundaryShape boundary_shape(std::int64_t samples, std::int64_t tokens, std::int64_t hidden, BoundaryType type) {
  return {.samples = samples,
          .tokens = tokens,
          .hidden = hidden,
          .samples_per_block = std::max<std::int64_t>(1, 1024 / tokens),
          .type = type};
}

std::uint64_t float_bytes(const BoundaryShape& shape) {
  return static_cast<std::uint64_t>(shape.samples * shape.tokens * shape.hidden) * sizeof(float);
}
std::uint64_t block_float_bytes(const BoundaryShape& shape) { return shape.values_in(0) * sizeof(float); }

struct Boundary::Scratch {
  Scratch(const std::string& path_, std::uint64_t bytes) : path(path_), out(path_, bytes), in(path_) {}
  ~Scratch() {
    try {
      remove_tree(path);
    } catch (const Error&) {
      // It lies in the work directory, where the next run removes it.
    }
  }
  std::string path;
  OutputFile out;
  InputFile in;
};

Boundary::Boundary(const BoundaryShape& shape, const Device& device)
    : shape_(shape), device_(device), buffer_(device.take("hidden states", float_bytes(shape))) {}
Boundary::Boundary(const BoundaryShape& shape, const Device& device, const std::string& scratch_file)
    : shape_(shape),
      device_(device),
      buffer_(device.take("hidden states")),
      file_(std::make_unique<Scratch>(scratch_file, float_bytes(shape))) {}
Boundary::~Boundary() = default;
Boundary::Boundary(Boundary&&) noexcept = default;

std::span<float> Boundary::values(std::int64_t first, std::int64_t count) {
  const auto row = static_cast<std::size_t>(shape_.tokens * shape_.hidden);
  const std::span<std::byte> all = device_.on_host(buffer_);
  return std::span(reinterpret_cast<float*>(all.data()), all.size() / sizeof(float))
      .subspan(static_cast<std::size_t>(first) * row, static_cast<std::size_t>(count) * row);
}

at::Tensor Boundary::samples(std::int64_t first, std::int64_t count) const {
  const auto sample = static_cast<std::uint64_t>(shape_.tokens * shape_.hidden) * sizeof(float);
  const std::array<std::int64_t, 3> shape = {count, shape_.tokens, shape_.hidden};
  return device_.view(buffer_, static_cast<std::uint64_t>(first) * sample, shape);
}

at::Tensor Boundary::load(std::int64_t block) const {
  const std::int64_t first = block * shape_.samples_per_block, count = shape_.samples_in(block);
  if (!file_) return samples(first, count);
  at::Tensor x = at::empty({count, shape_.tokens, shape_.hidden}, at::kFloat);
  file_->in.read_at(static_cast<std::uint64_t>(block) * block_float_bytes(shape_),
                    {static_cast<std::byte*>(x.mutable_data_ptr()), x.nbytes()});
  return x;
}

std::vector<float> Boundary::first_values(std::size_t count) const {
  const at::Tensor block = load(0);
  const auto all = std::span(block.const_data_ptr<float>(), static_cast<std::size_t>(block.numel()));
  const auto some = all.first(std::min(count, all.size()));
  return {some.begin(), some.end()};
}

void Boundary::store(std::int64_t block, const at::Tensor& values) {
  if (!file_) {
    const at::Tensor place = load(block);
    if (place.const_data_ptr() != values.const_data_ptr()) place.copy_(values.view(place.sizes()));
    return;
  }
  const at::Tensor dense = values.contiguous();
  store(block, std::span(dense.const_data_ptr<float>(), static_cast<std::size_t>(dense.numel())));
}

void Boundary::store(std::int64_t block, std::span<const float> values) {
  if (file_)
    file_->out.write_at(static_cast<std::uint64_t>(block) * block_float_bytes(shape_), std::as_bytes(values));
  else
    device_.copy_in(std::as_bytes(values), buffer_, static_cast<std::uint64_t>(block) * block_float_bytes(shape_));
}

void Boundary::restore(const BoundaryReader& kept, Budget& memory, const StopFlag* stop) {
  LeasedBuffer values(memory, "hidden states", block_float_bytes(shape_));
  std::string why;
  for (std::int64_t block = 0; block < shape_.blocks(); ++block) {
    check_interrupt(stop);
    const std::span<float> out = values.floats().first(shape_.values_in(block));
    if (!kept.read(block, out, why))
      fail(Fault::io, "hidden states of an earlier run: {}; the same command computes them again", why);
    store(block, out);
  }
}

void visit_blocks(std::int64_t blocks, const StopFlag* stop, Grad grad, const BlockVisit& body) {
  std::int64_t next = 0;
  const auto start =
      tbb::make_filter<void, std::int64_t>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& flow) {
        if (next == blocks) flow.stop();
        return next == blocks ? next : next++;
      });
  const auto run = tbb::make_filter<std::int64_t, Finish>(tbb::filter_mode::parallel, [&](std::int64_t block) {
    Finish finish;
    run_alone(grad, [&] {
      check_interrupt(stop);
      finish = body(block);
    });
    return finish;
  });
  const auto end = tbb::make_filter<Finish, void>(tbb::filter_mode::serial_in_order, [](const Finish& finish) {
    if (finish) finish();
  });
  tbb::parallel_pipeline(static_cast<std::size_t>(tbb::this_task_arena::max_concurrency()), start & run & end);
}

void advance(Boundary& boundary, const StopFlag* stop, const BlockForward& forward) {
  visit_blocks(boundary.shape().blocks(), stop, Grad::off, [&](std::int64_t block) {
    Finish finish;
    const at::Tensor y = forward(block, boundary.load(block), finish);
    if (y.defined()) boundary.store(block, y);
    return finish;
  });
}

}  // namespace strata
