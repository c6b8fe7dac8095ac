// Hangs at the Linears of a forward and scores the options of the menu on their outputs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/passes/back_through.h"
#include "engine/passes/menu_renders.h"

namespace strata {

// Sums of scores of a visit's units: of each option [sequences, probes], and of its Fisher trace [sequences], over all
// probes. Different sequences may be added to at once.
class ScoreSums {
 public:
  ScoreSums(std::span<const MenuUnit* const> units, std::size_t sequences, std::size_t probes);

  void add(const MenuUnit& unit, std::size_t option, std::size_t sequence, std::size_t probe, double value) {
    sums_.at(&unit)[option][sequence * probes_ + probe] += value;
  }
  std::span<const double> of(const MenuUnit& unit, std::size_t option) const { return sums_.at(&unit)[option]; }

  // The Fisher trace of a Linear with one row more, times the mean squared error of its weight.
  void add_trace(const MenuUnit& unit, std::size_t option, std::size_t sequence, double value) {
    traces_.at(&unit)[option][sequence] += value;
  }
  std::span<const double> trace_of(const MenuUnit& unit, std::size_t option) const { return traces_.at(&unit)[option]; }

  void reach(const LinearSpec& linear) { reached_.at(&linear).store(true, std::memory_order_relaxed); }
  std::vector<const LinearSpec*> unreached() const;    // Linears of the units that no row came to, in their order
  std::size_t reached_of(const MenuUnit& unit) const;  // its members that one came to

 private:
  const std::size_t probes_;
  std::unordered_map<const MenuUnit*, std::vector<std::vector<double>>> sums_, traces_;
  std::unordered_map<const LinearSpec*, std::atomic<bool>> reached_;
};

// For one block. What each option changes at a Linear's output is computed when the forward gets there; the gradient
// comes by a hook. Outlives the graph. Not thread-safe.
class ScoreSite final : public BackObserver {
 public:
  // `weights`: those of the Linears that it will see. Rows are those of x [n, t, in], from sequence `first` on.
  ScoreSite(const MenuIndex& menu, const MenuRenders& renders, const LayerWeights& weights, std::size_t first,
            ScoreSums& sums);
  ~ScoreSite() override;

  void rows_are(const std::vector<std::int64_t>& tokens, std::int64_t per_sequence) override;
  void gave(const LinearSpec& linear, const at::Tensor& x, const at::Tensor& y) override;

  void gradients_came(std::size_t probe) override;  // adds scores; they go

 private:
  struct Call;
  const MenuIndex& menu_;
  const MenuRenders& renders_;
  const LayerWeights& weights_;
  const std::size_t first_;
  ScoreSums& sums_;
  std::vector<std::int64_t> tokens_;
  std::int64_t per_sequence_ = 0;
  std::list<Call> calls_;  // hooks point at them
};

}  // namespace strata
