// How well the source itself predicts the calibration text: a forward that is wrong, or a text that is none of the
// model's, must never price anything.
#pragma once

#include <cstdint>
#include <string>

#include "formats/text/dataset.h"

namespace at {
class Tensor;
}

namespace strata {

struct QuantizeRequest;

// What tokens were unexpected by. Sums are made in one order, so that they depend on nothing else.
struct Surprise {
  double nats = 0;
  std::int64_t tokens = 0;

  Surprise& operator+=(const Surprise& other);
  double perplexity() const;  // NaN without a token
};

// Of the tokens that follow positions [first, first + rows) of all windows, each in its own window. `logits` and `p`,
// their softmax: [rows, vocabulary]. A logit that is NaN, or a largest one that is infinite, makes the nats NaN.
Surprise surprise_of(const TokenRows& tokens, std::int64_t first, const at::Tensor& logits, const at::Tensor& p);

// What the request says, else vocabulary^0.8: a model that knows nothing has about its whole vocabulary.
double perplexity_limit(const QuantizeRequest& request, std::int64_t vocabulary);

// What the user should know. Error{input} above the limit, with both figures.
std::string require_perplexity(const Surprise& surprise, double limit, const QuantizeRequest& request);

}  // namespace strata
