#include "engine/passes/menu_renders.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "base/error.h"
#include "engine/model/layer_weights.h"
#include "engine/passes/encode_group.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

std::uint64_t float_bytes(const LinearSpec& linear) {
  return static_cast<std::uint64_t>(linear.out * linear.in) * sizeof(float);
}

// Dense weights where they lie, all others as they are decoded.
WeightView weight_of(const Desk& desk, const LinearSpec& linear) {
  const LinearPlan& plan = desk.model().linear(linear);
  WeightView weight{.dtype = plan.stored.weight_dtype(), .rows = linear.out, .cols = linear.in};
  weight.data = plan.stored.dense()
                    ? static_cast<const void*>(desk.get(facts::source).bytes.bytes(plan.piece(0)).data())
                    : desk.get(facts::weights).values(linear).data();
  return weight;
}

}  // namespace

// Linears that are served as one matrix, in one format, and where their decoded weights go.
struct MenuRenders::Task {
  std::vector<const LinearSpec*> group;
  std::size_t option = 0;
  const NumberFormat* format = nullptr;
  std::vector<std::span<float>> out;
  std::vector<float> input_scales = {};
  std::vector<double> weight_errors = {};
};

std::vector<MenuRenders::Task> MenuRenders::tasks_of(const Desk& desk) {
  std::vector<Task> tasks;
  std::uint64_t bytes = 0;
  for (const std::vector<const LinearSpec*>& group : fused_groups(desk.part().linears)) {
    const MenuUnit* const unit = menu_.unit_of(*group.front());
    if (unit == nullptr) continue;
    for (const LinearSpec* linear : group) served_[linear].resize(unit->options.size());
    for (std::size_t i = 0; i < unit->options.size(); ++i) {
      if (unit->options[i].format->verbatim) continue;
      tasks.push_back({.group = group, .option = i, .format = unit->options[i].format, .out = {}});
      for (const LinearSpec* linear : group) bytes += float_bytes(*linear);
    }
  }
  if (!room_) room_.emplace(desk.tools().memory, "rendered weights");
  room_->grow(bytes);
  std::span<float> rest = room_->floats();
  for (Task& task : tasks)
    for (const LinearSpec* linear : task.group) {
      const auto count = static_cast<std::size_t>(linear->out * linear->in);
      task.out.push_back(rest.first(count));
      rest = rest.subspan(count);
    }
  return tasks;
}

void MenuRenders::make(const Desk& desk) {
  served_.clear();
  std::vector<Task> tasks = tasks_of(desk);
  const Trace::Span span(desk.tools().trace, Track::encode, desk.visit().name,
                         {.layer = static_cast<int>(desk.visit_index())});
  const StageTimes::Span time(&desk.tools().times, Stage::encode);
  tbb::parallel_for(std::size_t{0}, tasks.size(),
                    [&](std::size_t i) { tbb::this_task_arena::isolate([&] { run(desk, tasks[i]); }); });
  for (const Task& task : tasks)
    for (std::size_t i = 0; i < task.group.size(); ++i)
      served_[task.group[i]][task.option] = {task.out[i], task.format->input_rule(runtime_), task.input_scales[i],
                                             task.weight_errors[i]};
}

void MenuRenders::run(const Desk& desk, Task& task) const {
  const NumberFormat& format = *task.format;
  const Moments& moments = desk.get(facts::moments);
  EncodeContext context{.rule = rule_};
  std::vector<WeightView> weights;
  for (const LinearSpec* linear : task.group) {
    weights.push_back(weight_of(desk, *linear));
    context.fused_amax = std::max(context.fused_amax, finite_amax(desk.visit(), *linear, weights.back()));
  }
  std::vector<float> columns;
  if (has(desk.collects(*task.group.front()), Collect::squares)) columns = moments.column_weight(*task.group.front());
  context.column_weight = columns;
  if (format.calibrated_input) context.input_amax = moments.input_amax(*task.group.front());
  if (format.shared_scale != nullptr) context.shared_scale = format.shared_scale(weights, context);

  std::vector<std::vector<Field>> fields;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    fields.push_back(format.fields({weights[i].rows, weights[i].cols}, weights[i].dtype, rule_));
    for (const Field& field : fields.back()) bytes += field_bytes(field);
  }
  LeasedBuffer codes(desk.tools().memory, "encoded Linears", bytes), scratch(desk.tools().memory, "rounding");
  std::vector<std::vector<std::span<std::byte>>> out(weights.size());
  std::span<std::byte> rest = codes.bytes();
  std::vector<GroupMember> members;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (const Field& field : fields[i]) {
      out[i].push_back(rest.first(field_bytes(field)));
      rest = rest.subspan(field_bytes(field));
    }
    members.push_back({.module = task.group[i]->module, .weight = weights[i], .out = out[i]});
  }
  encode_group(desk.visit(), *task.group.front(), method_, format, context, members, scratch);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::vector<std::span<const std::byte>> stored(out[i].begin(), out[i].end());
    format.decode(fields[i], stored, {weights[i].rows, weights[i].cols}, task.out[i]);
    const EncodeError error = error_of(desk.visit(), *task.group[i], format, weights[i], task.out[i]);
    task.weight_errors.push_back(error.squared_error / static_cast<double>(weights[i].rows * weights[i].cols));
    float scale = 0;
    for (std::size_t f = 0; f < fields[i].size(); ++f)
      if (!format.input_scale_suffix.empty() && fields[i][f].suffix == format.input_scale_suffix)
        widen(fields[i][f].dtype, stored[f], {&scale, 1});
    task.input_scales.push_back(scale);
  }
}

const MenuRenders::Served* MenuRenders::find(const LinearSpec& linear, std::size_t option) const {
  const auto found = served_.find(&linear);
  if (found == served_.end() || found->second.at(option).weight.empty()) return nullptr;
  return &found->second[option];
}

std::uint64_t MenuRenders::memory(const Part& part, std::size_t formats) {
  std::uint64_t total = 0;
  for (const LinearSpec* linear : part.linears) total += formats * float_bytes(*linear);
  return total;
}

}  // namespace strata
