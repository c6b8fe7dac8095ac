// KL divergence between two models' outputs, gathered position by position (docs/evaluation.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/tokenizer/tokenizer.h"

namespace strata {

// KL(source || model) in nats per token over the whole vocabulary, at every position of a window.
struct Divergence {
  double kl_mean = 0, kl_se = 0;      // standard error, clustered by window; NaN for a single window
  double kl_p99 = 0, kl_p999 = 0;     // linearly interpolated quantiles over positions
  double top1_agreement = 0;          // share of positions whose most likely token is the same
  double ppl_reference = 0, ppl = 0;  // perplexity of the next token: source, model
  std::int64_t tokens = 0;
};

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
