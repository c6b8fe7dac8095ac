// Encodes every Linear of the layer in its format and measures the error of what will ship.
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "engine/copies.h"
#include "engine/memory_plan.h"
#include "engine/pass.h"
#include "formats/weights.h"

namespace strata::passes {
namespace {

// A Linear and where its encoded tensors go; nowhere for what the source's bytes are taken for.
struct Task {
  Render render;
  std::vector<std::span<std::byte>> out;
  WeightView weight = {};
  std::string broken = {};  // what is wrong with codes that are copied all the same
  bool lost = false;        // the encoding is more than lost_share of its own size away
};

// strata verify refuses such a Linear too.
constexpr double lost_share = 0.5;

class RenderPass final : public Pass {
 public:
  void run(LayerContext& layer) override {
    const std::vector<std::vector<const LinearSpec*>> groups = fused_groups(layer.visit);
    unreached_ = 0;
    std::vector<std::vector<Task>> tasks = make_room(layer, groups);
    std::vector<EncodeError> errors(groups.size());
    // Groups are independent and each writes its own place: the result does not depend on the threads.
    tbb::parallel_for(std::size_t{0}, groups.size(), [&](std::size_t i) {
      // Isolated: a thread that waits inside a group must not start another, which would take its scratch.
      tbb::this_task_arena::isolate([&] { errors[i] = render_group(layer, tasks[i]); });
    });

    if (unreached_ > 0)
      layer.decisions.emplace_back(
          layer.visit.name,
          fmt::format("no calibration token reached {} of its {} inputs: there all columns count alike; "
                      "more --nsamples reach more experts",
                      unreached_.load(), groups.size()));
    EncodeError total;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      total.squared_error += errors[i].squared_error;
      total.squared_weight += errors[i].squared_weight;
      for (Task& task : tasks[i]) {
        if (!task.broken.empty()) layer.decisions.emplace_back(task.render.linear->module, task.broken);
        if (task.lost)
          layer.decisions.emplace_back(
              task.render.linear->module,
              fmt::format("more than half of it is lost in {}: an outlier in it or in what it is "
                          "served with; another format (--override) or --ignore keeps it",
                          layer.run.assignment.of(*task.render.linear).name));
        layer.renders.push_back(std::move(task.render));
      }
    }
    if (total.squared_weight > 0) layer.done.weight_error = std::sqrt(total.squared_error / total.squared_weight);
    for (const LinearSpec* linear : layer.visit.linears) count(layer, layer.run.assignment.of(*linear));
  }

 private:
  // Every encoded tensor of the layer has its place in one buffer, which serves all layers.
  std::vector<std::vector<Task>> make_room(const LayerContext& layer,
                                           const std::vector<std::vector<const LinearSpec*>>& groups) {
    encoded_.grow(render_bytes(layer.run.model, layer.run.assignment, layer.visit));
    std::span<std::byte> room = encoded_.bytes();
    std::vector<std::vector<Task>> tasks(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (const LinearSpec* linear : groups[i]) {
        Task task{{.linear = linear, .tensors = encoded_tensors(layer.run.model, *linear, layer.run.assignment)}, {}};
        if (layer.run.assignment.copied.contains(linear->module))
          copy(layer, task, room);
        else
          for (const TensorInfo& tensor : task.render.tensors) {
            if (layer.run.assignment.copies(*linear)) {
              task.render.bytes.push_back(layer.bytes.bytes(tensor.name));
              continue;
            }
            task.out.push_back(take(room, tensor.bytes));
            task.render.bytes.push_back(task.out.back());
          }
        tasks[i].push_back(std::move(task));
      }
    return tasks;
  }

  static std::span<std::byte> take(std::span<std::byte>& room, std::uint64_t bytes) {
    const std::span<std::byte> taken = room.first(bytes);
    room = room.subspan(align_up(bytes, render_alignment));
    return taken;
  }

  // Codes are the source's own bytes; scales that change their type or direction are made.
  static void copy(const LayerContext& layer, Task& task, std::span<std::byte>& room) {
    const LinearSpec& linear = *task.render.linear;
    const StoredLinear stored = layer.run.model.stored_linear(linear);
    for (const CopiedTensor& copied : copied_tensors(stored, layer.run.assignment.of(linear))) {
      const std::span<const std::byte> from = layer.bytes.bytes(copied.from);
      if (copied.field.step == CopyStep::bytes) {
        if (const auto broken = nan_in_copy(stored, copied.field.from, from))
          task.broken = fmt::format("copied code by code, though {} {}", copied.from, *broken);
        task.render.bytes.push_back(from);
        continue;
      }
      const std::span<std::byte> to = take(room, copied.tensor.bytes);
      copy_field(stored, copied.field, from, to);
      task.render.bytes.push_back(to);
    }
  }

  // The weights to encode: dense ones where they lie, all others decoded, once.
  void find_weights(const LayerContext& layer, std::vector<Task>& group) {
    std::vector<std::pair<Task*, StoredLinear>> coded;
    std::uint64_t total = 0;
    for (Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      if (layer.run.assignment.copies(linear)) continue;
      StoredLinear stored = layer.run.model.stored_linear(linear);
      task.weight = {.dtype = stored.weight_dtype(), .rows = linear.out, .cols = linear.in};
      if (stored.dense()) {
        task.weight.data = layer.bytes.bytes(linear.module + ".weight").data();
        continue;
      }
      total += align_up(float_bytes(task.weight), render_alignment);
      coded.emplace_back(&task, std::move(stored));
    }
    if (coded.empty()) return;
    Buffer& scratch = sources_.local();
    scratch.grow(total);
    std::span<std::byte> room = scratch.bytes();
    for (auto& [task, stored] : coded) {
      const std::span<std::byte> place = take(room, float_bytes(task->weight));
      decode_stored(stored, layer.bytes.bytes(stored),
                    {reinterpret_cast<float*>(place.data()), place.size() / sizeof(float)});
      task->weight.data = place.data();
    }
  }

  static std::uint64_t float_bytes(const WeightView& weight) {
    return static_cast<std::uint64_t>(weight.rows * weight.cols) * sizeof(float);
  }

  EncodeError render_group(const LayerContext& layer, std::vector<Task>& group) {
    EncodeContext context{.rule = layer.run.assignment.rule};
    find_weights(layer, group);
    std::vector<WeightView> weights;
    for (const Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      if (layer.run.assignment.copies(linear)) continue;  // kept bytes may hold anything
      weights.push_back(task.weight);
      context.fused_amax = std::max(context.fused_amax, finite_amax(task.weight, linear.module + ".weight"));
    }
    if (weights.empty()) return {};
    const NumberFormat& shared = layer.run.assignment.of(*group.front().render.linear);  // of the whole group
    std::vector<float> columns;  // members of a group see one input
    if (layer.observing && layer.run.method.weighs_columns && !shared.config_group.empty()) {
      columns = layer.moments.column_weight(*group.front().render.linear);
      if (columns.empty()) ++unreached_;
    }
    context.column_weight = columns;
    if (shared.shared_scale != nullptr) context.shared_scale = shared.shared_scale(weights, context);
    EncodeError error;
    for (Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      const NumberFormat& format = layer.run.assignment.of(linear);
      if (layer.run.assignment.copies(linear)) continue;
      if (format.calibrated_input) context.input_amax = layer.moments.input_amax(linear);
      layer.run.method.encode(format, task.weight, context, task.out);
      const EncodeError here = measure(task.weight, format, task.render);
      if (!std::isfinite(here.squared_error))
        fail(Fault::input, "{}: holds values that {} cannot; keep it (--ignore) or give it another format",
             linear.module, format.name);
      task.lost = here.squared_error > lost_share * lost_share * here.squared_weight;
      if (format.config_group.empty()) continue;
      error.squared_error += here.squared_error;
      error.squared_weight += here.squared_weight;
    }
    return error;
  }

  EncodeError measure(const WeightView& weight, const NumberFormat& format, const Render& render) {
    std::vector<Field> fields;
    for (const TensorInfo& tensor : render.tensors)
      fields.push_back({tensor.name.substr(tensor.name.rfind('.') + 1), tensor.dtype, tensor.shape});
    const auto count = static_cast<std::size_t>(weight.rows * weight.cols);
    Buffer& scratch = decoded_.local();
    scratch.grow(count * sizeof(float));
    const std::span<float> decoded(reinterpret_cast<float*>(scratch.data()), count);
    format.decode(fields, render.bytes, {weight.rows, weight.cols}, decoded);
    return encode_error(weight, decoded);
  }

  static void count(LayerContext& layer, const NumberFormat& format) {
    auto& counts = layer.done.formats;
    const auto found = std::ranges::find(counts, format.name, &std::pair<std::string, int>::first);
    if (found == counts.end())
      counts.emplace_back(format.name, 1);
    else
      ++found->second;
  }

  std::atomic<int> unreached_ = 0;                   // groups of the layer whose columns nobody measured
  Buffer encoded_;                                   // of all Linears of the layer
  tbb::enumerable_thread_specific<Buffer> sources_;  // float32 weights of what a thread encodes
  tbb::enumerable_thread_specific<Buffer> decoded_;  // what a thread decodes to measure the error
};

}  // namespace

extern const PassType render{
    .name = "render",
    .summary = "encodes every Linear in its number format",
    .version = 1,
    .reads = facts::source,
    .uses = facts::moments,
    .writes = facts::renders,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<RenderPass>(); },
};

}  // namespace strata::passes
