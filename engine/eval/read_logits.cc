#include "engine/eval/read_logits.h"

#include <memory>
#include <unordered_map>

#include "base/error.h"
#include "engine/passes/lane_logits.h"
#include "engine/sweep/pass.h"

namespace strata {
namespace {

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
    const auto head_of = [&](std::size_t lane) -> const HeadRows& { return heads_.at(lanes.spec(lane).model); };
    read_lane_logits(lanes, head_of, {read_logits.name, desk.tools().stop}, reader_);
  }

 private:
  LogitsReader& reader_;
  // What the lanes of each model are multiplied with until the next piece of its head comes.
  std::unordered_map<const OpenModel*, HeadRows> heads_;
};

}  // namespace

extern const PassType read_logits{
    .name = "read_logits",
    .summary = "makes the logits of all positions",
    .version = 1,
    .reads = {&facts::source, &facts::boundary},
    .uses = {&facts::weights},
    .cost =
        [](const CostQuestion& question, CostSheet& sheet) {
          const MovingStates& states = question.states_of(facts::boundary);
          lane_logits_cost(question, states, states.lanes, sheet);
        },
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<ReadLogits>(*question.reader);
    },
};

}  // namespace strata
