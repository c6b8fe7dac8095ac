// KL divergence between two models' outputs, gathered position by position (docs/evaluation.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/evaluate.h"
#include "formats/tokenizer.h"

namespace strata {

// Not thread-safe; parallel inside, in double, results independent of the number of threads.
class DivergenceMeter {
 public:
  // `positions` of all windows, for quantiles; `vocabulary` columns of the logits.
  DivergenceMeter(std::int64_t positions, std::int64_t vocabulary);

  // Logits [n, vocabulary] of n further positions. `next` is the token that follows each, `window` the window
  // it is in; a negative `next` leaves the position out (padding).
  void add(std::span<const float> reference, std::span<const float> model, std::span<const TokenId> next,
           std::span<const std::int64_t> window);

  Divergence result() const;  // Error{input} when nothing was added

 private:
  struct Position {
    std::int64_t window = 0;
    double kl = 0;             // nats
    double nll_reference = 0;  // of the next token
    double nll = 0;
    bool same_top = false;
  };
  Position measure(std::span<const float> reference, std::span<const float> model, TokenId next) const;
  std::int64_t vocabulary_;
  std::vector<Position> positions_;
};

}  // namespace strata
