#include "engine/sweep/open_visit.h"

#include "base/error.h"
#include "cache/codec_choice.h"
#include "engine/graph/facts.h"
#include "engine/model/layer_weights.h"

namespace strata {

TravellingStates::TravellingStates(const SweepOptions& options, const Tools& tools, FactBoard& board)
    : options_(options), tools_(tools), board_(board) {
  for (const PassType* pass : options.plan.passes)
    for (const FactInfo* fact : pass->writes)
      if (fact->moves_on && board.find(*fact) != nullptr) moving_.push_back(fact);
}

std::vector<std::shared_ptr<PendingBoundary>> TravellingStates::begin(const Visit& visit, std::size_t visit_index) {
  for (const FactInfo* fact : options_.plan.finds)
    if (fact->moves_on && visit.kind != Visit::Kind::embedding && visit.kind != Visit::Kind::section)
      restore(*fact, visit_index);
  for (const FactInfo* fact : moving_) say_who_moves(*fact, visit);
  std::vector<std::shared_ptr<PendingBoundary>> leaving;
  keepers_.clear();
  if (options_.log == nullptr || options_.encoded == nullptr) return leaving;
  // Hidden states pass sections by, which come before the embedding.
  const bool reverse = options_.plan.direction == Direction::reverse;
  if (visit.kind == Visit::Kind::section || (reverse && visit.kind == Visit::Kind::embedding)) return leaving;
  for (const FactInfo* fact : moving_)
    for (std::size_t lane = 0; lane < lanes(*fact)->count(); ++lane) {
      std::shared_ptr<PendingBoundary> file = options_.log->keep_states(*fact, lane, visit_index, codec_);
      if (file == nullptr) continue;
      leaving.push_back(file);
      keepers_.push_back(std::make_unique<BoundaryKeeper>(static_cast<int>(visit_index), std::move(file),
                                                          options_.encoded->at(fact), tools_.writer, tools_.times,
                                                          tools_.trace));
      lanes(*fact)->set_keeper(lane, keepers_.back().get());
    }
  return leaving;
}

void TravellingStates::say_who_moves(const FactInfo& fact, const Visit& visit) {
  const auto broken_weight = [this, embeds = visit.kind == Visit::Kind::embedding]() -> std::string {
    if (embeds) return tools_.question.model.spec->embedding;  // nothing else can have made them so
    const auto weights = std::static_pointer_cast<const LayerWeights>(board_.find(facts::weights));
    return weights == nullptr ? "" : weights->not_finite();
  };
  lanes(fact)->set_values({.visit = visit.name,
                           .pass = std::string(options_.plan.advancer(fact)->name),
                           .what = &fact == &facts::boundary ? "hidden states" : std::string(fact.name),
                           .broken = broken_weight});
}

void TravellingStates::restore(const FactInfo& fact, std::size_t visit_index) {
  Lanes& there = *lanes(fact);
  for (std::size_t lane = 0; lane < there.count(); ++lane)
    there.states(lane).restore(options_.log->found_states(fact, lane, visit_index, tools_.threads), tools_.memory,
                               tools_.stop);
}

void TravellingStates::end(const Visit& visit, const std::vector<std::shared_ptr<PendingBoundary>>& leaving) {
  for (const FactInfo* fact : moving_)
    for (std::size_t lane = 0; lane < lanes(*fact)->count(); ++lane) lanes(*fact)->set_keeper(lane, nullptr);
  // What leaves the first layer is the first that looks like all that follows.
  if (leaving.empty() || visit.kind != Visit::Kind::layer || codec_chosen_) return;
  codec_chosen_ = true;
  // Small boundaries are written in no time whatever their codec.
  constexpr std::size_t sample = 1u << 20, fewest = 1u << 16;
  const Lease room = tools_.memory.take(codec_choice_memory, "choosing a codec");
  const std::vector<float> values = lanes(*moving_.front())->states(0).first_values(sample);
  codec_ = values.size() < fewest ? FrameCodec::bf16 : options_.log->choose_codec(values, tools_.threads).codec;
}

DecodeAs TravellingStates::decode_of(const OpenModel& model) const {
  for (const FactInfo* fact : moving_)
    for (std::size_t lane = 0; lane < lanes(*fact)->count(); ++lane)
      if (lanes(*fact)->spec(lane).model == &model) return lanes(*fact)->spec(lane).decode;
  return DecodeAs::f32;
}

}  // namespace strata
