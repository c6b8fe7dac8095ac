// Takes cotangents back through a layer, part by part, as a reverse sweep brings its parts: what `probe` and any other
// pass of that direction has in common. Not thread-safe; what it calls works on several blocks at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model/linear_site.h"
#include "engine/sweep/boundary.h"

namespace strata {

class Desk;
class Lanes;
struct CostQuestion;
struct MovingStates;
class CostSheet;
struct LoadedPart;

// Sees the Linears of one block of samples while the layer is computed again.
class BackObserver : public SiteObserver {
 public:
  void see(const LinearSpec&, const at::Tensor&) override {}
  // From now on rows of x [rows, in] are these tokens of the block, `per_sequence` to a sample.
  virtual void rows_are(const std::vector<std::int64_t>& /*tokens*/, std::int64_t /*per_sequence*/) {}
  virtual void gradients_came(std::size_t /*cotangent*/) {}  // whoever hooked in has them all
};

// One for a block, whose Linears have these weights; nullptr where nobody looks.
using MakeObserver = std::function<std::unique_ptr<BackObserver>(std::int64_t block, const LayerWeights& weights)>;

// The mixer's part is held until the layer ends: first what leaves the mixer is computed again, then the MLP or each
// group of experts adds what it gives to the gradient there, and at the end that goes back through the mixer. A pass
// that uses it reads facts::weights, source and boundary; `cotangents` are its own lanes.
class BackThrough {
 public:
  void begin_layer(Desk& desk, const Lanes& cotangents);                              // of its mixer
  void add_part(Desk& desk, const Lanes& cotangents, const MakeObserver& observers);  // its MLP, or some experts
  void end_layer(Desk& desk, Lanes& cotangents, const MakeObserver& observers);

  // Stores what leaves a visit in one block, and hands it to whoever keeps it: to be called in the order of the blocks.
  static Finish leave(Lanes& cotangents, std::int64_t block, std::vector<at::Tensor> found);

  static void add_cost(const CostQuestion& question, const MovingStates& cotangents, CostSheet& sheet);

 private:
  at::Tensor run_part(const Desk& desk, const LayerWeights& weights, BackObserver* observer,
                      const at::Tensor& middle) const;

  std::shared_ptr<const LayerWeights> mixer_;
  std::shared_ptr<const LoadedPart> mixer_bytes_;
  std::optional<Boundary> middle_;                  // what leaves the mixer
  std::vector<std::optional<Boundary>> gradients_;  // there
};

}  // namespace strata
