// A visit while it is computed, and the hidden states that travel through it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/timer.h"
#include "engine/sweep/sweep.h"

namespace strata {

struct OpenVisit {
  Timer timer;
  std::uint64_t source_hash = 0;
  int models = 0;  // begun and not ended; several where those of two take turns
  std::vector<std::shared_ptr<PendingBoundary>> leaving;
  std::vector<std::pair<const FactInfo*, std::string>> facts;  // bytes of what a later sweep wants
};

// The lanes of a sweep: those that its passes advance are on the board from the start and are kept as they leave each
// visit; those that an earlier sweep kept are there while their visit is open.
class TravellingStates {
 public:
  TravellingStates(const SweepOptions& options, const Tools& tools, FactBoard& board);

  // What is to be published when the visit is committed.
  std::vector<std::shared_ptr<PendingBoundary>> begin(const Visit& visit, std::size_t visit_index);
  void end(const Visit& visit, const std::vector<std::shared_ptr<PendingBoundary>>& leaving);

  // How weights of a model are decoded: as the first of its lanes says.
  DecodeAs decode_of(const OpenModel& model) const;

 private:
  Lanes* lanes(const FactInfo& fact) const { return static_cast<Lanes*>(board_.find(fact).get()); }
  void restore(const FactInfo& fact, std::size_t visit_index);
  void say_who_moves(const FactInfo& fact, const Visit& visit);

  const SweepOptions& options_;
  const Tools& tools_;
  FactBoard& board_;
  std::vector<const FactInfo*> moving_;  // that the sweep advances
  std::vector<std::unique_ptr<BoundaryKeeper>> keepers_;
  FrameCodec codec_ = FrameCodec::bf16;  // embeddings usually are
  bool codec_chosen_ = false;
};

}  // namespace strata
