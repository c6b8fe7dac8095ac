#include "engine/passes/menu_renders.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "base/error.h"
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

// As it will be stored; 0 where the format has none.
float input_scale(const NumberFormat& format, Dtype weight, std::span<const Field> fields, ScaleRule rule, float amax) {
  float scale = 0;
  for (const Field& field : fields) {
    if (format.encode_input_scale == nullptr || field.suffix != format.input_scale_suffix) continue;
    std::vector<std::byte> bytes(field_bytes(field));
    format.encode_input_scale(amax, weight, rule, bytes);
    widen(field.dtype, bytes, {&scale, 1});
  }
  return scale;
}

// As the source stores it; 0 where the format has none.
float copied_input_scale(const Desk& desk, const LinearSpec& linear, const NumberFormat& format) {
  const LinearPlan& plan = desk.model().linear(linear);
  float scale = 0;
  if (format.input_scale_suffix.empty()) return scale;
  for (const CopiedField& copied : copied_fields(plan.stored, format)) {
    if (copied.field.suffix != format.input_scale_suffix) continue;
    std::vector<std::byte> bytes(field_bytes(copied.field));
    copy_field(plan.stored, copied, desk.get(facts::source).bytes.bytes(plan.tensor(copied.from)), bytes);
    widen(copied.field.dtype, bytes, {&scale, 1});
  }
  return scale;
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
  bool leaves_input = false;
};

std::vector<MenuRenders::Task> MenuRenders::tasks_of(const Desk& desk, const Wanted& wanted) {
  std::vector<Task> tasks;
  std::uint64_t bytes = 0;
  for (const std::vector<const LinearSpec*>& group : fused_groups(desk.part().linears)) {
    const MenuUnit* const unit = menu_.unit_of(*group.front());
    if (unit == nullptr) continue;
    for (const LinearSpec* linear : group) served_[linear].resize(unit->options.size());
    for (std::size_t i = 0; i < unit->options.size(); ++i) {
      if (unit->options[i].source || (wanted.option && !wanted.option(*unit, i))) continue;
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

void MenuRenders::make(Desk& desk, const Wanted& wanted) {
  served_.clear();
  if (wanted.stored) stored_.open(desk);
  std::vector<Task> tasks = tasks_of(desk, wanted);
  const Trace::Span span(desk.tools().trace, Track::encode, desk.visit().name,
                         {.layer = static_cast<int>(desk.visit_index())});
  const StageTimes::Span time(&desk.tools().times, Stage::encode);
  tbb::parallel_for(std::size_t{0}, tasks.size(),
                    [&](std::size_t i) { tbb::this_task_arena::isolate([&] { run(desk, wanted, tasks[i]); }); });
  for (const Task& task : tasks)
    for (std::size_t i = 0; i < task.group.size(); ++i)
      served_[task.group[i]][task.option] = {task.out[i],
                                             task.leaves_input ? nullptr : task.format->input_rule(runtime_),
                                             task.input_scales[i], task.weight_errors[i]};
  if (wanted.stored) stored_.tell(desk);
}

// The source's own codes: what they decode to is there already.
void MenuRenders::copy(const Desk& desk, Task& task) {
  for (std::size_t i = 0; i < task.group.size(); ++i) {
    const LinearSpec& linear = *task.group[i];
    std::ranges::copy(desk.get(facts::weights).values(linear), task.out[i].begin());
    task.weight_errors.push_back(0);
    task.input_scales.push_back(copied_input_scale(desk, linear, *task.format));
  }
}

void MenuRenders::run(const Desk& desk, const Wanted& wanted, Task& task) const {
  const NumberFormat& format = *task.format;
  if (format.source_only) return copy(desk, task);
  const Moments& moments = desk.get(facts::moments);
  OptionFields where = option_fields(desk, task.group, format, rule_);
  LeasedBuffer codes(desk.tools().memory, "encoded Linears", where.bytes()), scratch(desk.tools().memory, "rounding");
  std::span<std::byte> room = codes.bytes();
  where.place(room);
  float amax = 1;
  if (format.calibrated_input) {
    const LinearSpec& first = *task.group.front();
    const std::optional<float> seen = wanted.input_amax ? wanted.input_amax(first) : moments.input_amax(first);
    task.leaves_input = !seen;
    amax = seen.value_or(1);
  }
  if (!wanted.stored || !stored_.fetch(task.group, format, where))
    encode_option(desk, moments, task.group, {method_, rule_, format, amax}, where, scratch);
  for (std::size_t i = 0; i < task.group.size(); ++i) {
    const WeightView weight = menu_weight(desk, *task.group[i]);
    const std::vector<std::span<const std::byte>> bytes(where.out[i].begin(), where.out[i].end());
    format.decode(where.fields[i], bytes, {weight.rows, weight.cols}, task.out[i]);
    const EncodeError error = error_of(desk.visit(), *task.group[i], format, weight, task.out[i]);
    task.weight_errors.push_back(error.squared_error / static_cast<double>(weight.rows * weight.cols));
    task.input_scales.push_back(input_scale(format, weight.dtype, where.fields[i], rule_, amax));
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
