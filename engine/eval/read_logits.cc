#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/eval/read_logits.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>

#include <memory>
#include <vector>

#include "engine/model/linear_site.h"
#include "engine/passes/forward_cost.h"
#include "engine/sweep/head_rows.h"
#include "engine/sweep/not_finite.h"
#include "engine/sweep/pass.h"

namespace strata {
namespace {

// Logits of one lane that a block holds at once are these many rows.
constexpr std::int64_t most_rows = 256;

class ReadLogits final : public Pass {
 public:
  explicit ReadLogits(LogitsReader& reader) : reader_(reader) {}

  void part(Desk& desk) override {
    if (desk.part().kind != Part::Kind::logits) return;
    const Lanes& lanes = desk.get(facts::boundary);
    heads_[&desk.model()].take(desk);
    // Once the piece of the last model is there, all lanes have the same columns.
    if (&desk.model() != lanes.spec(lanes.count() - 1).model) return;
    const HeadRows& one = heads_.begin()->second;
    for (const auto& [model, head] : heads_)
      if (head.first() != one.first() || head.end() != one.end())
        fail(Fault::bug, "logits: pieces of two heads do not lie beside each other");
    const StageTimes::Span time(&desk.tools().times, Stage::forward);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::off, [&](std::int64_t block) {
      read_block(lanes, block);
      return Finish();
    });
  }

 private:
  void read_block(const Lanes& lanes, std::int64_t block) const {
    const BoundaryShape& shape = lanes.shape();
    const std::int64_t start = block * shape.samples_per_block * shape.tokens;
    const std::int64_t rows = shape.samples_in(block) * shape.tokens;
    std::vector<at::Tensor> states;
    for (std::size_t i = 0; i < lanes.count(); ++i) states.push_back(lanes.states(i).load(block).view({rows, -1}));
    for (std::int64_t row = 0; row < rows; row += most_rows) {
      const std::int64_t count = std::min(most_rows, rows - row);
      std::vector<at::Tensor> logits;
      std::vector<std::span<const float>> views;
      for (std::size_t i = 0; i < lanes.count(); ++i) {
        logits.push_back(multiply(lanes.spec(i), states[i].narrow(0, row, count)).contiguous());
        views.emplace_back(logits[i].const_data_ptr<float>(), static_cast<std::size_t>(logits[i].numel()));
        require_finite(lanes.spec(i), views[i]);
      }
      const HeadRows& head = heads_.begin()->second;
      reader_.read({.first = start + row,
                    .count = count,
                    .column = head.first(),
                    .columns = head.end() - head.first(),
                    .lanes = views});
    }
  }

  void require_finite(const LaneSpec& lane, std::span<const float> logits) const {
    if (!first_not_finite(logits)) return;
    const auto broken = [&] { return heads_.at(lane.model).not_finite(*lane.model->spec); };
    fail_not_finite(lane.model->checkpoint.directory(),
                    {.visit = "head", .pass = std::string(read_logits.name), .what = "logits", .broken = broken}, "");
  }

  at::Tensor multiply(const LaneSpec& lane, const at::Tensor& x) const {
    const ModelSpec& spec = *lane.model->spec;
    const HeadRows& head = heads_.at(lane.model);
    const at::Tensor input = head.input(spec, x);
    if (head.coded() == nullptr) return at::linear(input, head.weight(spec), head.bias());
    LinearSite site(*head.coded(), lane.inputs);
    return site(spec.head, input);
  }

  LogitsReader& reader_;
  // What the lanes of each model are multiplied with until the next piece of its head comes.
  std::unordered_map<const OpenModel*, HeadRows> heads_;
};

std::uint64_t head_bytes(const PassQuestion&, const Part& part) {
  if (part.kind != Part::Kind::logits) return 0;  // a coded one stays while that of the next model is decoded
  return static_cast<std::uint64_t>((part.end_row - part.first_row) * part.model->spec->hidden) * sizeof(float);
}

std::uint64_t columns_bytes(const PassQuestion&, const Part& part) {
  if (part.kind != Part::Kind::logits) return 0;
  return static_cast<std::uint64_t>(part.end_row - part.first_row) * sizeof(float);
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  const std::uint64_t rows = std::min<std::uint64_t>(
      static_cast<std::uint64_t>(question.states.samples_per_block * question.states.tokens), most_rows);
  sheet.add(Resource::host, "weights", question.lanes * question.sizes.largest(head_bytes));
  // The product and what is made of it, of every lane.
  sheet.add(Resource::host, "logits",
            2 * question.blocks_alive() * question.lanes * rows * question.sizes.largest(columns_bytes));
}

}  // namespace

extern const PassType read_logits{
    .name = "read_logits",
    .summary = "makes the logits of all positions",
    .version = 1,
    .reads = {&facts::source, &facts::boundary},
    .uses = {&facts::weights},
    .cost = cost,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<ReadLogits>(*question.reader);
    },
};

}  // namespace strata
