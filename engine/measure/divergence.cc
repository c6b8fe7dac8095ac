#include "engine/measure/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace strata {
namespace {

// Linear interpolation between order statistics, as numpy and torch do.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

DivergenceMeter::DivergenceMeter(std::span<const TokenId> next, std::span<const std::int64_t> window)
    : next_(next), window_(window), positions_(next.size()) {}

// Takes in some more logits; how much what was summed before counts less.
double DivergenceMeter::raise(Logits& logits, std::span<const float> values, std::int64_t column, TokenId next) {
  const auto most = std::ranges::max_element(values);
  double shrunk = 1;
  if (static_cast<double>(*most) > logits.largest) {
    shrunk = std::exp(logits.largest - static_cast<double>(*most));
    logits.largest = static_cast<double>(*most);
    logits.most_likely = column + (most - values.begin());
  }
  logits.sum *= shrunk;
  for (const float value : values) logits.sum += std::exp(static_cast<double>(value) - logits.largest);
  if (next >= column && next < column + std::ssize(values))
    logits.next = static_cast<double>(values[static_cast<std::size_t>(next - column)]);
  return shrunk;
}

void DivergenceMeter::add(std::int64_t first, std::int64_t column, std::int64_t columns,
                          std::span<const float> reference, std::span<const float> model) {
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t i = 0; i * width < reference.size(); ++i) {
    const std::size_t place = static_cast<std::size_t>(first) + i;
    const TokenId next = next_[place];
    if (next < 0) continue;
    Position& position = positions_[place];
    const std::span<const float> source = reference.subspan(i * width, width), other = model.subspan(i * width, width);
    position.difference *= raise(position.reference, source, column, next);
    raise(position.model, other, column, next);
    const double largest = position.reference.largest;
    for (std::size_t c = 0; c < width; ++c)
      position.difference += std::exp(static_cast<double>(source[c]) - largest) *
                             (static_cast<double>(source[c]) - static_cast<double>(other[c]));
    if (!std::isfinite(position.difference) || !std::isfinite(position.model.sum))
      fail(
          Fault::input,
          "evaluation: the {} model's logits are not finite: some of its weights are not, or are too large for float32",
          std::isfinite(position.reference.sum) ? "quantized" : "source");
  }
}

std::vector<double> DivergenceMeter::divergences() const {
  std::vector<double> all;
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    if (next_[i] < 0) continue;
    const auto& [reference, model, difference] = positions_[i];
    all.push_back(difference / reference.sum - (reference.norm() - model.norm()));
  }
  return all;
}

std::vector<DivergenceMeter::OfWindow> DivergenceMeter::of_windows() const {
  const std::vector<double> all = divergences();
  std::map<std::int64_t, OfWindow> windows;
  std::size_t at = 0;
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    if (next_[i] < 0) continue;
    OfWindow& window = windows[window_[i]];
    window.sum += all[at++];
    ++window.tokens;
  }
  std::vector<OfWindow> result;
  result.reserve(windows.size());
  for (const auto& [index, window] : windows) result.push_back(window);
  return result;
}

// Positions of one window depend on each other, so the error of the mean counts windows, not positions.
double DivergenceMeter::standard_error(std::span<const double> values, double mean) const {
  std::map<std::int64_t, double> deviation;
  std::size_t at = 0;
  for (std::size_t i = 0; i < positions_.size(); ++i)
    if (next_[i] >= 0) deviation[window_[i]] += values[at++] - mean;
  double squares = 0;
  for (const auto& [window, sum] : deviation) squares += sum * sum;
  const auto windows = static_cast<double>(deviation.size());
  if (windows < 2) return std::numeric_limits<double>::quiet_NaN();
  return std::sqrt(squares * windows / (windows - 1)) / static_cast<double>(values.size());
}

Divergence DivergenceMeter::result() const {
  const std::vector<double> all = divergences();
  if (all.empty()) fail(Fault::input, "evaluation: there is no position with a next token");
  const auto count = static_cast<double>(all.size());
  Divergence result{.tokens = static_cast<std::int64_t>(all.size())};
  double nll = 0, nll_reference = 0, same = 0;
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    if (next_[i] < 0) continue;
    const auto& [reference, model, difference] = positions_[i];
    nll += model.norm() - model.next;
    nll_reference += reference.norm() - reference.next;
    same += reference.most_likely == model.most_likely ? 1 : 0;
  }
  for (const double kl : all) result.kl_mean += kl / count;
  std::vector<double> sorted = all;
  std::ranges::sort(sorted);
  result.kl_p99 = quantile(sorted, 0.99);
  result.kl_p999 = quantile(sorted, 0.999);
  result.top1_agreement = same / count;
  result.ppl = std::exp(nll / count);
  result.ppl_reference = std::exp(nll_reference / count);
  result.kl_se = standard_error(all, result.kl_mean);
  return result;
}

Paired DivergenceMeter::above(const DivergenceMeter& other) const {
  std::vector<double> differences = divergences();
  const std::vector<double> theirs = other.divergences();
  double mean = 0;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    differences[i] -= theirs.at(i);
    mean += differences[i] / static_cast<double>(differences.size());
  }
  return {mean, standard_error(differences, mean)};
}

}  // namespace strata
