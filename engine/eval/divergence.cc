#include "engine/eval/divergence.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace strata {
namespace {

// max + log(sum exp(x - max)), in double.
double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

std::ptrdiff_t most_likely(std::span<const float> logits) { return std::ranges::max_element(logits) - logits.begin(); }

// Linear interpolation between order statistics, as numpy and torch do.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

DivergenceMeter::DivergenceMeter(std::int64_t positions, std::int64_t vocabulary) : vocabulary_(vocabulary) {
  positions_.reserve(static_cast<std::size_t>(positions));
}

DivergenceMeter::Position DivergenceMeter::measure(std::span<const float> reference, std::span<const float> model,
                                                   TokenId next) const {
  const double reference_norm = log_sum_exp(reference), model_norm = log_sum_exp(model);
  Position position;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double log_p = reference[i] - reference_norm;
    position.kl += std::exp(log_p) * (log_p - (model[i] - model_norm));
  }
  if (!std::isfinite(position.kl))
    fail(Fault::input,
         "evaluation: the {} model's logits are not finite: some of its weights are not, or are too large for float32",
         std::isfinite(reference_norm) ? "quantized" : "source");
  position.nll_reference = reference_norm - reference[static_cast<std::size_t>(next)];
  position.nll = model_norm - model[static_cast<std::size_t>(next)];
  position.same_top = most_likely(reference) == most_likely(model);
  return position;
}

void DivergenceMeter::add(std::span<const float> reference, std::span<const float> model, std::span<const TokenId> next,
                          std::span<const std::int64_t> window) {
  const auto columns = static_cast<std::size_t>(vocabulary_);
  std::vector<Position> fresh(next.size());
  tbb::parallel_for(std::size_t{0}, next.size(), [&](std::size_t i) {
    if (next[i] < 0) return;
    fresh[i] = measure(reference.subspan(i * columns, columns), model.subspan(i * columns, columns), next[i]);
    fresh[i].window = window[i];
  });
  for (std::size_t i = 0; i < next.size(); ++i)
    if (next[i] >= 0) positions_.push_back(fresh[i]);
}

Divergence DivergenceMeter::result() const {
  if (positions_.empty()) fail(Fault::input, "evaluation: there is no position with a next token");
  const auto count = static_cast<double>(positions_.size());
  Divergence result{.tokens = static_cast<std::int64_t>(positions_.size())};
  std::vector<double> sorted;
  double nll = 0, nll_reference = 0, same = 0;
  for (const Position& position : positions_) {
    sorted.push_back(position.kl);
    result.kl_mean += position.kl / count;
    nll += position.nll;
    nll_reference += position.nll_reference;
    same += position.same_top ? 1 : 0;
  }
  std::ranges::sort(sorted);
  result.kl_p99 = quantile(sorted, 0.99);
  result.kl_p999 = quantile(sorted, 0.999);
  result.top1_agreement = same / count;
  result.ppl = std::exp(nll / count);
  result.ppl_reference = std::exp(nll_reference / count);

  // Positions of one window depend on each other, so the error of the mean counts windows, not positions.
  std::map<std::int64_t, double> deviation;
  for (const Position& position : positions_) deviation[position.window] += position.kl - result.kl_mean;
  double squares = 0;
  for (const auto& [window, sum] : deviation) squares += sum * sum;
  const auto windows = static_cast<double>(deviation.size());
  result.kl_se = std::numeric_limits<double>::quiet_NaN();
  if (windows > 1) result.kl_se = std::sqrt(squares * windows / (windows - 1)) / count;
  return result;
}

}  // namespace strata
