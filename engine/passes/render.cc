// Encodes every Linear of the layer in its format and measures the error of what will ship.
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "engine/plan/copies.h"
#include "engine/plan/lost_weight.h"
#include "engine/plan/plain_encoding.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

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

class RenderPass final : public Pass {
 public:
  void begin_layer(LayerContext& layer) override {
    if (!scratch_) {
      scratch_.emplace();
      for (int i = 0; i < layer.run.threads; ++i) scratch_->add(std::make_unique<Scratch>(layer.run.memory));
    }
    unreached_ = 0;
    groups_ = 0;
    error_ = {};
    late_.clear();
  }

  void run(PartContext& part) override {
    const std::vector<std::vector<const LinearSpec*>> groups = fused_groups(part.part().linears);
    if (groups.empty()) return;
    std::vector<std::vector<Task>> tasks = make_room(part, groups);
    std::vector<EncodeError> errors(groups.size());
    {
      const Trace::Span span(part.layer.run.trace, Track::encode, part.layer.visit.name,
                             {.layer = part.layer.done.index});
      const StageTimes::Span time(&part.layer.run.times, Stage::encode);
      // Groups are independent and each writes its own place: the result does not depend on the threads.
      tbb::parallel_for(std::size_t{0}, groups.size(), [&](std::size_t i) {
        // Isolated: a thread that waits inside a group must not start another, which would take its scratch.
        tbb::this_task_arena::isolate([&] { errors[i] = render_group(part, tasks[i]); });
      });
    }
    groups_ += groups.size();
    for (std::size_t i = 0; i < groups.size(); ++i) {
      // One by one over the whole layer, however it is cut: sums in double depend on their order.
      error_.squared_error += errors[i].squared_error;
      error_.squared_weight += errors[i].squared_weight;
      for (Task& task : tasks[i]) {
        note(part.layer, task);
        part.renders.push_back(std::move(task.render));
      }
    }
  }

  void end_layer(LayerContext& layer) override {
    if (unreached_ > 0)
      layer.decisions.emplace_back(
          layer.visit.name,
          fmt::format("no calibration token reached {} of its {} inputs: there all columns count alike; "
                      "more --nsamples reach more experts",
                      unreached_.load(), groups_));
    if (error_.squared_weight > 0) layer.done.weight_error = std::sqrt(error_.squared_error / error_.squared_weight);
    for (const LinearSpec* linear : layer.visit.linears) count(layer, layer.run.assignment.of(*linear));
    for (const Late& late : late_) {
      LateTensor tensor{late.slot, std::vector<std::byte>(late.bytes)};
      const float amax = layer.moments.input_amax(*late.linear);
      named(layer.visit, *late.linear, [&] {
        layer.run.assignment.of(*late.linear)
            .encode_input_scale(amax, late.weight, layer.run.assignment.rule, tensor.bytes);
      });
      layer.late.push_back(std::move(tensor));
    }
  }

 private:
  // What a thread needs to encode one group.
  struct Scratch {
    explicit Scratch(Budget& memory) : sources(memory, "decoded Linears"), decoded(memory, "decoded Linears") {}
    LeasedBuffer sources;  // float32 weights, where the source is not dense
    LeasedBuffer decoded;  // what is decoded to measure the error
  };

  // An input scale, which waits for the last token of the layer.
  struct Late {
    const LinearSpec* linear;
    std::size_t slot;
    std::uint64_t bytes;
    Dtype weight;
  };

  void note(LayerContext& layer, const Task& task) {
    const LinearSpec& linear = *task.render.linear;
    const NumberFormat& format = layer.run.assignment.of(linear);
    if (task.render.late != Render::none)
      late_.push_back({&linear, layer.run.output.linears.at(linear.index) + task.render.late,
                       task.render.bytes[task.render.late].size(), task.weight.dtype});
    if (!task.broken.empty()) layer.decisions.emplace_back(linear.module, task.broken);
    if (task.lost)
      layer.decisions.emplace_back(linear.module,
                                   fmt::format("more than half of it is lost in {}: an outlier in it or in what it is "
                                               "served with; {} keeps it",
                                               format.name, ignore_options(layer.visit, linear)));
  }

  // Every encoded tensor of the part has its place in one block of memory.
  static std::vector<std::vector<Task>> make_room(PartContext& part,
                                                  const std::vector<std::vector<const LinearSpec*>>& groups) {
    const RunContext& run = part.layer.run;
    const std::uint64_t bytes = render_bytes(run.model, run.assignment, part.part().linears);
    std::span<std::byte> room;
    if (bytes > 0) {
      const StageTimes::Span waiting(&part.layer.run.times, Stage::wait_for_write);
      part.render_memory = part.layer.run.render_memory.take();
      part.render_memory->grow(bytes);
      room = part.render_memory->bytes();
    }
    std::vector<std::vector<Task>> tasks(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (const LinearSpec* linear : groups[i]) tasks[i].push_back(make_task(part, *linear, room));
    return tasks;
  }

  static Task make_task(const PartContext& part, const LinearSpec& linear, std::span<std::byte>& room) {
    const Assignment& assignment = part.layer.run.assignment;
    const LinearPlan& plan = part.layer.run.model.linear(linear);
    Task task{{.linear = &linear, .fields = written_fields(plan, assignment)}, {}};
    if (assignment.copies_codes(linear)) {
      copy(part, plan, task, room);
      return task;
    }
    const NumberFormat& format = assignment.of(linear);
    for (std::size_t i = 0; i < task.render.fields.size(); ++i) {
      const Field& field = task.render.fields[i];
      if (assignment.copies(linear)) {
        task.render.bytes.push_back(part.bytes().bytes(*plan.tensors.at(i)));
        if (!all_finite(field.dtype, task.render.bytes.back())) task.broken = kept_broken;
        continue;
      }
      if (format.encode_input_scale != nullptr && field.suffix == format.input_scale_suffix) task.render.late = i;
      task.out.push_back(take(room, field_bytes(field)));
      task.render.bytes.push_back(task.out.back());
    }
    return task;
  }

  static std::span<std::byte> take(std::span<std::byte>& room, std::uint64_t bytes) {
    const std::span<std::byte> taken = room.first(bytes);
    room = room.subspan(align_up(bytes, render_alignment));
    return taken;
  }

  // Codes are the source's own bytes; scales that change their type or direction are made.
  static void copy(const PartContext& part, const LinearPlan& plan, Task& task, std::span<std::byte>& room) {
    for (const CopiedField& copied : copied_fields(plan.stored, part.layer.run.assignment.of(*plan.spec))) {
      const std::span<const std::byte> from = part.bytes().bytes(plan.tensor(copied.from));
      if (copied.step == CopyStep::bytes) {
        if (const auto broken = nan_in_copy(plan.stored, copied.from, from))
          task.broken = fmt::format("copied code by code, though {}.{} {}", plan.spec->module, copied.from, *broken);
        task.render.bytes.push_back(from);
        continue;
      }
      const std::span<std::byte> to = take(room, field_bytes(copied.field));
      copy_field(plan.stored, copied, from, to);
      task.render.bytes.push_back(to);
    }
  }

  // The weights to encode: dense ones where they lie, all others decoded, once.
  static void find_weights(const PartContext& part, std::vector<Task>& group, LeasedBuffer& memory) {
    std::vector<std::pair<Task*, const LinearPlan*>> coded;
    std::uint64_t total = 0;
    for (Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      if (part.layer.run.assignment.copies(linear)) continue;
      const LinearPlan& plan = part.layer.run.model.linear(linear);
      task.weight = {.dtype = plan.stored.weight_dtype(), .rows = linear.out, .cols = linear.in};
      if (plan.stored.dense()) {
        task.weight.data = part.bytes().bytes(*plan.tensors.front()).data();
        continue;
      }
      total += align_up(float_bytes(task.weight), render_alignment);
      coded.emplace_back(&task, &plan);
    }
    if (coded.empty()) return;
    memory.grow(total);
    std::span<std::byte> room = memory.bytes();
    for (const auto& [task, plan] : coded) {
      const std::span<std::byte> place = take(room, float_bytes(task->weight));
      decode_stored(plan->stored, part.bytes().bytes(*plan),
                    {reinterpret_cast<float*>(place.data()), place.size() / sizeof(float)});
      task->weight.data = place.data();
    }
  }

  static std::uint64_t float_bytes(const WeightView& weight) {
    return static_cast<std::uint64_t>(weight.rows * weight.cols) * sizeof(float);
  }

  EncodeError render_group(const PartContext& part, std::vector<Task>& group) {
    const LayerContext& layer = part.layer;
    // Input scales are written when the layer ends; until then any number stands there.
    EncodeContext context{.rule = layer.run.assignment.rule, .input_amax = 1};
    const std::shared_ptr<Scratch> scratch = scratch_->take();
    find_weights(part, group, scratch->sources);
    std::vector<WeightView> weights;
    for (const Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      if (layer.run.assignment.copies(linear)) continue;  // kept bytes may hold anything
      weights.push_back(task.weight);
      context.fused_amax = std::max(context.fused_amax, finite_amax(layer.visit, linear, task.weight));
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
      named(layer.visit, linear, [&] { layer.run.method.encode(format, task.weight, context, task.out); });
      const EncodeError here = measure(task.weight, format, task.render, scratch->decoded);
      if (!std::isfinite(here.squared_error))
        fail(Fault::input, "{}: holds values that {} cannot; {} keeps it", linear.module, format.name,
             ignore_options(layer.visit, linear));
      // Nothing is left of it: each error is the weight itself.
      if (here.squared_error == here.squared_weight && here.squared_weight > negligible_squares(task.weight))
        fail(Fault::input,
             "{}: becomes zero in {}: its largest magnitude is {:.3g}, beside {:.3g} in what it is served with; {} "
             "keeps it",
             linear.module, format.name, finite_amax(layer.visit, linear, task.weight), context.fused_amax,
             ignore_options(layer.visit, linear));
      task.lost = here.squared_error > lost_share * lost_share * here.squared_weight;
      if (task.lost) require_what_the_format_holds(layer, task, weights, context, here);
      if (format.config_group.empty()) continue;
      error.squared_error += here.squared_error;
      error.squared_weight += here.squared_weight;
    }
    return error;
  }

  // An outlier may take the codes of a Linear; the arithmetic of another tool must not.
  static void require_what_the_format_holds(const LayerContext& layer, const Task& task,
                                            std::span<const WeightView> group, const EncodeContext& context,
                                            const EncodeError& error) {
    const LinearSpec& linear = *task.render.linear;
    const NumberFormat& format = layer.run.assignment.of(linear);
    if (context.rule != ScaleRule::compressed_tensors) return;
    const double plain = plain_squared_error(format, task.weight, group, context.fused_amax);
    if (error.squared_error <= rounding_slack * plain) return;
    fail(Fault::input,
         "{}: more than half of it is lost in {} by the arithmetic of compressed-tensors, in the type of the source; "
         "without --parity it is not, and {} keeps it",
         linear.module, format.name, ignore_options(layer.visit, linear));
  }

  // The formats layer says what is wrong, and knows neither names nor options.
  template <typename Encode>
  static void named(const Visit& visit, const LinearSpec& linear, Encode encode) {
    try {
      encode();
    } catch (const Error& error) {
      if (error.fault != Fault::input) throw;
      fail(error.fault, "{}: {}; {} keeps it", linear.module, error.what(), ignore_options(visit, linear));
    }
  }

  static float finite_amax(const Visit& visit, const LinearSpec& linear, const WeightView& weight) {
    try {
      return strata::finite_amax(weight, linear.module + ".weight");
    } catch (const Error& error) {
      fail(error.fault, "{}; {} keeps it", error.what(), ignore_options(visit, linear));
    }
  }

  // The sum of squares below which weights are zero to whoever computes with them.
  static double negligible_squares(const WeightView& weight) {
    return static_cast<double>(weight.rows) * static_cast<double>(weight.cols) * negligible_weight * negligible_weight;
  }

  static EncodeError measure(const WeightView& weight, const NumberFormat& format, const Render& render,
                             LeasedBuffer& memory) {
    const auto count = static_cast<std::size_t>(weight.rows * weight.cols);
    memory.grow(count * sizeof(float));
    const std::span<float> decoded = memory.floats().first(count);
    format.decode(render.fields, render.bytes, {weight.rows, weight.cols}, decoded);
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

  std::atomic<int> unreached_ = 0;  // groups of the layer whose columns nobody measured
  std::size_t groups_ = 0;
  EncodeError error_;  // of the layer so far
  std::vector<Late> late_;
  std::optional<Lending<Scratch>> scratch_;  // one a thread
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
