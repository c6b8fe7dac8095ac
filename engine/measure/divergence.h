// KL divergence between two models' outputs, gathered position by position (docs/evaluation.md).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
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

// How far the KL of one model is above that of another on the same positions; the error is clustered by window too.
struct Paired {
  double difference = 0, standard_error = 0;  // NaN for a single window
};

// Sums in double, so that results depend neither on the number of threads nor on how the vocabulary is cut. Different
// positions may be added by different threads at once.
class DivergenceMeter {
 public:
  // The token that follows each position, and the window it is in; a negative `next` leaves the position out (padding).
  // Both outlive it.
  DivergenceMeter(std::span<const TokenId> next, std::span<const std::int64_t> window);

  // Logits of the entries [column, column + columns) of the vocabulary, for positions from `first` on: [n, columns]
  // each. All columns come for every position, in order. Error{input} when one is not finite.
  void add(std::int64_t first, std::int64_t column, std::int64_t columns, std::span<const float> reference,
           std::span<const float> model);

  static std::uint64_t memory(std::int64_t positions) {
    return static_cast<std::uint64_t>(positions) * sizeof(Position);
  }

  Divergence result() const;                         // Error{input} when there is no position with a next token
  Paired above(const DivergenceMeter& other) const;  // of the same positions and reference

  // Of each window with a position that counts, in order: the sum of KL over its positions, and how many these are.
  struct OfWindow {
    double sum = 0;
    std::int64_t tokens = 0;
  };
  std::vector<OfWindow> of_windows() const;

 private:
  // log(sum exp(x)) of one model so far, over columns.
  struct Logits {
    double largest = -std::numeric_limits<double>::infinity();
    double sum = 0;  // of exp(x - largest)
    std::int64_t most_likely = 0;
    double next = 0;  // the logit of the next token

    double norm() const { return largest + std::log(sum); }
  };
  struct Position {
    Logits reference, model;
    double difference = 0;  // sum of exp(reference - largest) * (reference - model)
  };
  std::vector<double> divergences() const;  // of the positions that count
  double standard_error(std::span<const double> values, double mean) const;
  static double raise(Logits& logits, std::span<const float> values, std::int64_t column, TokenId next);

  const std::span<const TokenId> next_;
  const std::span<const std::int64_t> window_;
  std::vector<Position> positions_;
};

}  // namespace strata
