#include "engine/passes/served_renders.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <vector>

#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "engine/sweep/render.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

// What the output holds of it is not what the source holds.
bool changes(const Assignment& assignment, const LinearSpec& linear) {
  return !assignment.copies(linear) || assignment.copies_codes(linear);
}

// As the output will hold it, whether it is known with the weights or only when the layer ends.
float input_scale_of(const Desk& desk, const Render& render, const NumberFormat& format) {
  float scale = 0;
  for (std::size_t i = 0; i < render.fields.size(); ++i) {
    if (format.input_scale_suffix.empty() || render.fields[i].suffix != format.input_scale_suffix) continue;
    std::vector<std::byte> late(render.bytes[i].begin(), render.bytes[i].end());
    if (i == render.late)
      format.encode_input_scale(desk.find(facts::moments)->input_amax(*render.linear),
                                desk.model().linear(*render.linear).stored.weight_dtype(),
                                desk.get(facts::assignment).rule, late);
    widen(render.fields[i].dtype, late, {&scale, 1});
  }
  return scale;
}

}  // namespace

void ServedRenders::make(const Desk& desk, LayerWeights& served, LayerWeights& inputs) {
  const Assignment& assignment = desk.get(facts::assignment);
  std::vector<const Render*> renders;
  std::vector<std::span<float>> values;
  if (!room_) room_.emplace(desk.tools().memory, "rendered weights");
  room_->grow(memory(desk.part()));
  std::span<float> rest = room_->floats();
  for (const Render& render : desk.get(facts::renders).renders) {
    if (!changes(assignment, *render.linear)) continue;
    renders.push_back(&render);
    const auto count = static_cast<std::size_t>(render.linear->out * render.linear->in);
    values.push_back(rest.first(count));
    rest = rest.subspan(count);
  }
  const StageTimes::Span time(&desk.tools().times, Stage::decode);
  tbb::parallel_for(std::size_t{0}, renders.size(), [&](std::size_t i) {
    const LinearSpec& linear = *renders[i]->linear;
    tbb::this_task_arena::isolate([&] {
      assignment.of(linear).decode(renders[i]->fields, renders[i]->bytes, {linear.out, linear.in}, values[i]);
    });
  });
  for (std::size_t i = 0; i < renders.size(); ++i) {
    const LinearSpec& linear = *renders[i]->linear;
    const NumberFormat& format = assignment.of(linear);
    const LayerWeights::ServedInput input{&format, input_scale_of(desk, *renders[i], format)};
    served.serve(linear, values[i]);
    served.serve_input(linear, input);
    inputs.serve_input(linear, input);
  }
}

std::uint64_t ServedRenders::memory(const Part& part) {
  std::uint64_t total = 0;
  for (const LinearSpec* linear : part.linears)
    total += static_cast<std::uint64_t>(linear->out * linear->in) * sizeof(float);
  return total;
}

}  // namespace strata
