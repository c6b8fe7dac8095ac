#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/lane_logits.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>

#include <algorithm>
#include <vector>

#include "engine/graph/cost.h"
#include "engine/model/linear_site.h"
#include "engine/plan/part.h"
#include "engine/sweep/not_finite.h"

namespace strata {
namespace {

// Logits of all lanes that a block holds at once are these many rows; of one lane, for products that are worth it.
constexpr std::int64_t most_rows = 2048, most_lane_rows = 256, least_lane_rows = 16;

std::int64_t rows_at_once(std::size_t lanes) {
  return std::clamp(most_rows / static_cast<std::int64_t>(lanes), least_lane_rows, most_lane_rows);
}

at::Tensor multiply(const LaneSpec& lane, const HeadRows& head, const at::Tensor& x) {
  const ModelSpec& spec = *lane.model->spec;
  const at::Tensor input = head.input(spec, x);
  if (head.coded() == nullptr) return at::linear(input, head.weight(spec), head.bias());
  LinearSite site(*head.coded(), lane.inputs);
  return site(spec.head, input);
}

void require_finite(const LaneSpec& lane, const HeadRows& head, std::string_view pass, std::span<const float> logits) {
  if (!first_not_finite(logits)) return;
  fail_not_finite(lane.model->checkpoint.directory(),
                  {.visit = "head",
                   .pass = std::string(pass),
                   .what = "logits",
                   .broken = [&] { return head.not_finite(*lane.model->spec); }},
                  "");
}

void read_block(const Lanes& lanes, const HeadOfLane& head_of, std::string_view pass, std::int64_t block,
                LogitsReader& reader) {
  const BoundaryShape& shape = lanes.shape();
  const std::int64_t start = block * shape.samples_per_block * shape.tokens;
  const std::int64_t rows = shape.samples_in(block) * shape.tokens;
  std::vector<at::Tensor> states;
  for (std::size_t i = 0; i < lanes.count(); ++i) states.push_back(lanes.states(i).load(block).view({rows, -1}));
  const std::int64_t step = rows_at_once(lanes.count());
  for (std::int64_t row = 0; row < rows; row += step) {
    const std::int64_t count = std::min(step, rows - row);
    std::vector<at::Tensor> logits;
    std::vector<std::span<const float>> views;
    for (std::size_t i = 0; i < lanes.count(); ++i) {
      logits.push_back(multiply(lanes.spec(i), head_of(i), states[i].narrow(0, row, count)).contiguous());
      views.emplace_back(logits[i].const_data_ptr<float>(), static_cast<std::size_t>(logits[i].numel()));
      require_finite(lanes.spec(i), head_of(i), pass, views[i]);
    }
    const HeadRows& head = head_of(0);
    reader.read({.first = start + row,
                 .count = count,
                 .column = head.first(),
                 .columns = head.end() - head.first(),
                 .lanes = views});
  }
}

std::uint64_t head_bytes(const PassQuestion&, const Part& part) {
  if (part.kind != Part::Kind::logits) return 0;  // a coded one stays while that of the next model is decoded
  return static_cast<std::uint64_t>((part.end_row - part.first_row) * part.model->spec->hidden) * sizeof(float);
}

std::uint64_t columns_bytes(const PassQuestion&, const Part& part) {
  if (part.kind != Part::Kind::logits) return 0;
  return static_cast<std::uint64_t>(part.end_row - part.first_row) * sizeof(float);
}

}  // namespace

void read_lane_logits(const Lanes& lanes, const HeadOfLane& head_of, const LogitsFor& whom, LogitsReader& reader) {
  visit_blocks(lanes.shape().blocks(), whom.stop, Grad::off, [&](std::int64_t block) {
    read_block(lanes, head_of, whom.pass, block, reader);
    return Finish();
  });
}

void lane_logits_cost(const CostQuestion& question, const MovingStates& states, std::size_t models, CostSheet& sheet) {
  const std::uint64_t rows =
      std::min<std::uint64_t>(static_cast<std::uint64_t>(states.shape.samples_per_block * states.shape.tokens),
                              static_cast<std::uint64_t>(rows_at_once(states.lanes)));
  sheet.add(Resource::host, "weights", models * question.sizes.largest(head_bytes));
  // The product and what is made of it, of every lane.
  sheet.add(Resource::host, "logits",
            2 * question.blocks_alive(states) * states.lanes * rows * question.sizes.largest(columns_bytes));
}

}  // namespace strata
