// Sets of hidden states that travel through the layers side by side: those of calibration samples, those of models that
// are compared, cotangents on their way back.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/model/served.h"
#include "engine/plan/open_model.h"
#include "engine/sweep/boundary.h"
#include "engine/sweep/not_finite.h"

namespace strata {

class BoundaryKeeper;

// Whose weights a lane runs through, and how they are taken.
struct LaneSpec {
  const OpenModel* model = nullptr;
  DecodeAs decode = DecodeAs::f32;
  ActivationMode inputs = ActivationMode::none;
  bool still = false;  // nothing moves it: it holds what enters the head from the start, or has not started
};

// All have one shape. Move-only.
class Lanes {
 public:
  void add(const LaneSpec& spec, Boundary states) {
    specs_.push_back(spec);
    states_.push_back(std::move(states));
    keepers_.push_back(nullptr);
  }

  std::size_t count() const { return states_.size(); }
  const LaneSpec& spec(std::size_t lane) const { return specs_.at(lane); }
  Boundary& states(std::size_t lane) { return states_.at(lane); }
  const Boundary& states(std::size_t lane) const { return states_.at(lane); }
  const BoundaryShape& shape() const { return states_.front().shape(); }

  // It has started: it moves from here on.
  void set_off(std::size_t lane) { specs_.at(lane).still = false; }

  // Who takes the hidden states that leave the layer; nullptr when nobody does.
  void set_keeper(std::size_t lane, BoundaryKeeper* keeper) { keepers_.at(lane) = keeper; }

  // Who moves them through which layer, for errors.
  void set_values(ValuesOf values) { values_ = std::move(values); }

  // To be called, by any thread, with what leaves the layer in one block: it becomes contiguous, rounded where the
  // shape says BF16, and goes to the keeper. What it gives is to be called in the order of the blocks; empty: nothing
  // to do. That is Error{input} where some of them are not finite.
  Finish leave(std::size_t lane, std::int64_t block, at::Tensor& states) const;
  // The same for what goes from one part of the layer to the next: only looked at.
  Finish require_finite(std::size_t lane, std::int64_t block, at::Tensor& states) const;

 private:
  std::vector<LaneSpec> specs_;
  std::vector<Boundary> states_;
  std::vector<BoundaryKeeper*> keepers_;
  ValuesOf values_;
};

}  // namespace strata
