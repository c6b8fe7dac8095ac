#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/source_perplexity.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/plan/request.h"

namespace strata {

Surprise& Surprise::operator+=(const Surprise& other) {
  nats += other.nats;
  tokens += other.tokens;
  return *this;
}

double Surprise::perplexity() const {
  return tokens == 0 ? std::numeric_limits<double>::quiet_NaN() : std::exp(nats / static_cast<double>(tokens));
}

// With l the logits, -log p[next] is (largest l - l[next]) - log(largest p): no exponential of the vocabulary is made
// again, and none underflows.
Surprise surprise_of(const TokenRows& tokens, std::int64_t first, const at::Tensor& logits, const at::Tensor& p) {
  const at::Tensor largest_logits = logits.amax(-1), largest_p = p.amax(-1), dense = logits.contiguous();
  const std::int64_t vocabulary = dense.size(-1);
  Surprise sum;
  for (std::int64_t row = 0; row < dense.size(0); ++row) {
    const double largest = largest_logits.const_data_ptr<float>()[row];
    if (!std::isfinite(largest)) sum.nats = std::numeric_limits<double>::quiet_NaN();
    const std::int64_t window = (first + row) / tokens.columns, next = (first + row) % tokens.columns + 1;
    if (next >= tokens.lengths[static_cast<std::size_t>(window)]) continue;
    const float logit = dense.const_data_ptr<float>()[row * vocabulary + tokens.row(window)[next]];
    const double share = largest_p.const_data_ptr<float>()[row];
    sum += {.nats = largest - static_cast<double>(logit) - std::log(share), .tokens = 1};
  }
  return sum;
}

double perplexity_limit(const QuantizeRequest& request, std::int64_t vocabulary) {
  const double asked = request.mixed.max_source_perplexity;
  return asked > 0 ? asked : std::exp(0.8 * std::log(static_cast<double>(vocabulary)));
}

std::string require_perplexity(const Surprise& surprise, double limit, const QuantizeRequest& request) {
  const double perplexity = surprise.perplexity();
  if (perplexity <= limit)
    return fmt::format("perplexity {:.6g} on the calibration text (limit {:.6g})", perplexity, limit);
  // Rounded up: what is named works.
  fail(Fault::input,
       "{}: its own perplexity on {} is {:.6g}, above the limit of {:.6g}: the text is in another language or format "
       "than the model's, the tokenizer is another model's, or the source is broken; give another --dataset, or say "
       "--max-source-ppl {}",
       request.places.model, request.calibration.dataset, perplexity, limit, std::ceil(perplexity));
}

}  // namespace strata
