// Encodes every Linear of the layer in its format and measures the error of what will ship.
#include "engine/sweep/render.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/lending.h"
#include "engine/model/layer_weights.h"
#include "engine/passes/coding_work.h"
#include "engine/passes/encode_group.h"
#include "engine/passes/render_plan.h"
#include "engine/passes/render_store.h"
#include "engine/plan/copies.h"
#include "engine/plan/lost_weight.h"
#include "engine/plan/output_plan.h"
#include "engine/plan/plain_encoding.h"
#include "engine/rounding/rounding.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/moments.h"
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
  RenderPass(const RoundingMethod& method, const Cut& cut) : method_(method), cut_(cut) {}

  void begin(Desk& desk) override {
    if (!scratch_) {
      scratch_.emplace();
      for (int i = 0; i < cut_.threads; ++i) scratch_->add(std::make_unique<Scratch>(desk.tools().memory));
      for (int i = 0; i < cut_.renders; ++i)
        rooms_.add(std::make_unique<LeasedBuffer>(desk.tools().memory, "encoded Linears"));
    }
    stored_.open(desk);
    unreached_ = 0;
    groups_ = 0;
    error_ = {};
    late_.clear();
  }

  void part(Desk& desk) override {
    if (desk.part().kind == Part::Kind::logits) return;  // what is encoded of the head comes by itself
    RenderSet& set = desk.make(facts::renders);
    const std::vector<std::vector<const LinearSpec*>> groups = fused_groups(desk.part().linears);
    if (groups.empty()) return;
    std::vector<std::vector<Task>> tasks = make_room(desk, groups, set);
    std::vector<EncodeError> errors(groups.size());
    {
      const Trace::Span span(desk.tools().trace, Track::encode, desk.visit().name, {.layer = desk.done().index});
      const StageTimes::Span time(&desk.tools().times, Stage::encode);
      // Groups are independent and each writes its own place: the result does not depend on the threads.
      tbb::parallel_for(std::size_t{0}, groups.size(), [&](std::size_t i) {
        // Isolated: a thread that waits inside a group must not start another, which would take its scratch.
        tbb::this_task_arena::isolate([&] { errors[i] = render_group(desk, tasks[i]); });
      });
    }
    stored_.tell(desk);
    groups_ += groups.size();
    for (std::size_t i = 0; i < groups.size(); ++i) {
      // One by one over the whole layer, however it is cut: sums in double depend on their order.
      error_.squared_error += errors[i].squared_error;
      error_.squared_weight += errors[i].squared_weight;
      for (Task& task : tasks[i]) {
        note(desk, task);
        set.renders.push_back(std::move(task.render));
      }
    }
  }

  void end(Desk& desk) override {
    const Assignment& assignment = desk.get(facts::assignment);
    if (unreached_ > 0)
      desk.decide(desk.visit().name,
                  fmt::format("no calibration token reached {} of its {} inputs: there all columns count alike; "
                              "more --nsamples reach more experts",
                              unreached_.load(), groups_));
    if (error_.squared_weight > 0 && !desk.tools().question.assembles())
      desk.done().weight_error = std::sqrt(error_.squared_error / error_.squared_weight);
    for (const LinearSpec* linear : desk.visit().linears) count(desk.done(), assignment.of(*linear));
    std::vector<OutputTensor>& tensors = desk.make(facts::layer_tensors);
    for (const Late& late : late_) {
      OutputTensor tensor{late.linear, late.field, std::vector<std::byte>(late.bytes)};
      const Moments* const moments = desk.find(facts::moments);
      const float amax = moments == nullptr ? stored_.input_amax(*late.linear) : moments->input_amax(*late.linear);
      named(desk.visit(), *late.linear,
            [&] { assignment.of(*late.linear).encode_input_scale(amax, late.weight, assignment.rule, tensor.bytes); });
      tensors.push_back(std::move(tensor));
    }
  }

 private:
  // What a thread needs to encode one group.
  struct Scratch {
    explicit Scratch(Budget& memory)
        : sources(memory, "decoded Linears"), decoded(memory, "decoded Linears"), rounding(memory, "rounding") {}
    LeasedBuffer sources;   // float32 weights, where the source is not dense and nobody has decoded it
    LeasedBuffer decoded;   // what is decoded to measure the error
    LeasedBuffer rounding;  // of the method
  };

  // An input scale, which waits for the last token of the layer.
  struct Late {
    const LinearSpec* linear;
    std::size_t field;
    std::uint64_t bytes;
    Dtype weight;
  };

  void note(Desk& desk, const Task& task) {
    const LinearSpec& linear = *task.render.linear;
    const NumberFormat& format = desk.get(facts::assignment).of(linear);
    if (task.render.late != Render::none)
      late_.push_back({&linear, task.render.late, task.render.bytes[task.render.late].size(), task.weight.dtype});
    if (!task.broken.empty()) desk.decide(linear.module, task.broken);
    if (task.lost)
      desk.decide(linear.module, fmt::format("more than half of it is lost in {}: an outlier in it or in what it is "
                                             "served with; {} keeps it",
                                             format.name, ignore_options(desk.visit(), linear)));
  }

  // Every encoded tensor of the part has its place in one block of memory.
  std::vector<std::vector<Task>> make_room(Desk& desk, const std::vector<std::vector<const LinearSpec*>>& groups,
                                           RenderSet& set) {
    const std::uint64_t bytes = render_bytes(desk.model(), desk.get(facts::assignment), desk.part().linears);
    std::span<std::byte> room;
    if (bytes > 0) {
      const StageTimes::Span waiting(&desk.tools().times, Stage::wait_for_write);
      set.memory = rooms_.take();
      set.memory->grow(bytes);
      room = set.memory->bytes();
    }
    std::vector<std::vector<Task>> tasks(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (const LinearSpec* linear : groups[i]) tasks[i].push_back(make_task(desk, *linear, room));
    return tasks;
  }

  static Task make_task(const Desk& desk, const LinearSpec& linear, std::span<std::byte>& room) {
    const Assignment& assignment = desk.get(facts::assignment);
    const LinearPlan& plan = desk.model().linear(linear);
    Task task{{.linear = &linear, .fields = written_fields(plan, assignment)}, {}};
    if (assignment.copies_codes(linear)) {
      copy(desk, plan, task, room);
      return task;
    }
    const NumberFormat& format = assignment.of(linear);
    for (std::size_t i = 0; i < task.render.fields.size(); ++i) {
      const Field& field = task.render.fields[i];
      if (assignment.copies(linear)) {
        task.render.bytes.push_back(stored(desk).bytes(plan.piece(i)));
        if (!all_finite(field.dtype, task.render.bytes.back())) task.broken = kept_broken;
        continue;
      }
      if (format.encode_input_scale != nullptr && field.suffix == format.input_scale_suffix) task.render.late = i;
      task.out.push_back(take(room, field_bytes(field)));
      task.render.bytes.push_back(task.out.back());
    }
    return task;
  }

  static const LayerBytes& stored(const Desk& desk) { return desk.get(facts::source).bytes; }

  static std::span<std::byte> take(std::span<std::byte>& room, std::uint64_t bytes) {
    const std::span<std::byte> taken = room.first(bytes);
    room = room.subspan(align_up(bytes, render_alignment));
    return taken;
  }

  // Codes are the source's own bytes; scales that change their type or direction are made.
  static void copy(const Desk& desk, const LinearPlan& plan, Task& task, std::span<std::byte>& room) {
    for (const CopiedField& copied : copied_fields(plan.stored, desk.get(facts::assignment).of(*plan.spec))) {
      const std::span<const std::byte> from = stored(desk).bytes(plan.tensor(copied.from));
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

  // The weights to encode: dense ones where they lie; all others decoded, here where nobody has done so.
  static void find_weights(const Desk& desk, std::vector<Task>& group, LeasedBuffer& memory) {
    const LayerWeights* const decoded = desk.find(facts::weights);
    std::vector<std::pair<Task*, const LinearPlan*>> coded;
    std::uint64_t total = 0;
    for (Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      if (desk.get(facts::assignment).copies(linear)) continue;
      const LinearPlan& plan = desk.model().linear(linear);
      task.weight = {.dtype = plan.stored.weight_dtype(), .rows = linear.out, .cols = linear.in};
      if (plan.stored.dense()) {
        task.weight.data = stored(desk).bytes(plan.piece(0)).data();
      } else if (decoded != nullptr) {
        task.weight.data = decoded->values(linear).data();
      } else {
        total += align_up(float_bytes(task.weight), render_alignment);
        coded.emplace_back(&task, &plan);
      }
    }
    if (coded.empty()) return;
    memory.grow(total);
    std::span<std::byte> room = memory.bytes();
    for (const auto& [task, plan] : coded) {
      const std::span<std::byte> place = take(room, float_bytes(task->weight));
      decode_stored(plan->stored, stored(desk).bytes(*plan),
                    {reinterpret_cast<float*>(place.data()), place.size() / sizeof(float)});
      task->weight.data = place.data();
    }
  }

  static std::uint64_t float_bytes(const WeightView& weight) {
    return static_cast<std::uint64_t>(weight.rows * weight.cols) * sizeof(float);
  }

  EncodeError render_group(const Desk& desk, std::vector<Task>& group) {
    const Assignment& assignment = desk.get(facts::assignment);
    const Visit& visit = desk.visit();
    if (is_kept(desk, group)) return take_kept(desk, group);
    // Input scales are written when the layer ends; until then any number stands there.
    EncodeContext context{.rule = assignment.rule, .input_amax = 1};
    const std::shared_ptr<Scratch> scratch = scratch_->take();
    find_weights(desk, group, scratch->sources);
    std::vector<WeightView> weights;
    for (const Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      if (assignment.copies(linear)) continue;  // kept bytes may hold anything
      weights.push_back(task.weight);
      context.fused_amax = std::max(context.fused_amax, finite_amax(visit, linear, task.weight));
    }
    if (weights.empty()) return {};
    const NumberFormat& shared = assignment.of(*group.front().render.linear);  // of the whole group
    std::vector<float> columns;                                                // members of a group see one input
    const Moments* const moments = desk.find(facts::moments);
    if (moments != nullptr && has(desk.collects(*group.front().render.linear), Collect::squares) &&
        shared.quantizes()) {
      columns = moments->column_weight(*group.front().render.linear);
      if (columns.empty()) ++unreached_;
    } else if (desk.tools().question.assembles() && method_.wants != Collect::nothing) {
      columns = stored_.column_weight(*group.front().render.linear);
    }
    context.column_weight = columns;
    if (shared.shared_scale != nullptr) context.shared_scale = shared.shared_scale(weights, context);
    if (!take_stored(shared, group)) encode(visit, shared, context, group, scratch->rounding);
    EncodeError error;
    for (Task& task : group) {
      const LinearSpec& linear = *task.render.linear;
      const NumberFormat& format = assignment.of(linear);
      if (assignment.copies(linear)) continue;
      const EncodeError here = measure(visit, task, format, scratch->decoded);
      // Nothing is left of it: each error is the weight itself.
      if (here.squared_error == here.squared_weight && here.squared_weight > negligible_squares(task.weight))
        fail(Fault::input,
             "{}: becomes zero in {}: its largest magnitude is {:.3g}, beside {:.3g} in what it is served with; {} "
             "keeps it",
             linear.module, format.name, finite_amax(visit, linear, task.weight), context.fused_amax,
             ignore_options(visit, linear));
      task.lost = here.squared_error > lost_share * lost_share * here.squared_weight;
      if (task.lost) require_what_the_format_holds(desk, task, weights, context, here);
      if (!format.quantizes()) continue;
      error.squared_error += here.squared_error;
      error.squared_weight += here.squared_weight;
    }
    return error;
  }

  // Whether the source of what is encoded is not even read: another run has kept its encoding.
  static bool is_kept(const Desk& desk, const std::vector<Task>& group) {
    return desk.tools().question.is_stored(*group.front().render.linear);
  }

  EncodeError take_kept(const Desk& desk, std::vector<Task>& group) const {
    const LinearSpec& first = *group.front().render.linear;
    if (!take_stored(desk.get(facts::assignment).of(first), group)) stored_.fail_damaged(first);
    for (Task& task : group) task.weight.dtype = desk.model().linear(*task.render.linear).stored.weight_dtype();
    return {};
  }

  // What an earlier visit encoded, where it was kept.
  bool take_stored(const NumberFormat& format, const std::vector<Task>& group) const {
    std::vector<const LinearSpec*> linears;
    OptionFields where;
    for (const Task& task : group) {
      if (task.out.empty()) return false;
      linears.push_back(task.render.linear);
      where.fields.push_back(task.render.fields);
      where.out.push_back(task.out);
    }
    return stored_.fetch(linears, format, where);
  }

  void encode(const Visit& visit, const NumberFormat& format, const EncodeContext& context,
              const std::vector<Task>& group, LeasedBuffer& memory) const {
    std::vector<GroupMember> members;
    for (const Task& task : group)
      if (!task.out.empty())
        members.push_back({.module = task.render.linear->module, .weight = task.weight, .out = task.out});
    encode_group(visit, *group.front().render.linear, method_, format, context, members, memory);
  }

  // An outlier may take the codes of a Linear; the arithmetic of another tool must not.
  static void require_what_the_format_holds(const Desk& desk, const Task& task, std::span<const WeightView> group,
                                            const EncodeContext& context, const EncodeError& error) {
    const LinearSpec& linear = *task.render.linear;
    const NumberFormat& format = desk.get(facts::assignment).of(linear);
    if (context.rule != ScaleRule::compressed_tensors) return;
    const double plain = plain_squared_error(format, task.weight, group, context.fused_amax);
    if (error.squared_error <= rounding_slack * plain) return;
    fail(Fault::input,
         "{}: more than half of it is lost in {} by the arithmetic of compressed-tensors, in the type of the source; "
         "without --parity it is not, and {} keeps it",
         linear.module, format.name, ignore_options(desk.visit(), linear));
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

  // The sum of squares below which weights are zero to whoever computes with them.
  static double negligible_squares(const WeightView& weight) {
    return static_cast<double>(weight.rows) * static_cast<double>(weight.cols) * negligible_weight * negligible_weight;
  }

  static EncodeError measure(const Visit& visit, const Task& task, const NumberFormat& format, LeasedBuffer& memory) {
    const WeightView& weight = task.weight;
    const auto count = static_cast<std::size_t>(weight.rows * weight.cols);
    memory.grow(count * sizeof(float));
    const std::span<float> decoded = memory.floats().first(count);
    format.decode(task.render.fields, task.render.bytes, {weight.rows, weight.cols}, decoded);
    return error_of(visit, *task.render.linear, format, weight, decoded);
  }

  static void count(LayerDone& done, const NumberFormat& format) {
    auto& counts = done.formats;
    const auto found = std::ranges::find(counts, format.name, &std::pair<std::string, int>::first);
    if (found == counts.end())
      counts.emplace_back(format.name, 1);
    else
      ++found->second;
  }

  const RoundingMethod& method_;
  const Cut cut_;
  std::atomic<int> unreached_ = 0;  // groups of the layer whose columns nobody measured
  std::size_t groups_ = 0;
  EncodeError error_;  // of the layer so far
  std::vector<Late> late_;
  std::optional<Lending<Scratch>> scratch_;  // one a thread
  StoredRenders stored_;                     // of the visit
  Lending<LeasedBuffer> rooms_;              // where encoded Linears lie until they are written
};

}  // namespace

extern const PassType render{
    .name = "render",
    .summary = "encodes every Linear in its number format",
    .version = 1,
    .reads = {&facts::source, &facts::assignment},
    .uses = {&facts::moments, &facts::weights},
    .writes = {&facts::renders, &facts::layer_tensors},
    .collects = render_collects,
    .cost = render_cost,
    .work = render_work,
    .key = render_key,
    .make = [](const PassQuestion& question, const Cut& cut) -> std::unique_ptr<Pass> {
      return std::make_unique<RenderPass>(require_rounding_method(question.request.rounding.method_name()), cut);
    },
};

}  // namespace strata::passes
