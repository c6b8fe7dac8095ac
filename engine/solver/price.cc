#include "engine/solver/price.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace strata {

Price price_of(std::span<const float> scores, std::size_t probes, std::int64_t tokens) {
  if (probes == 0 || scores.empty() || scores.size() % probes != 0 || tokens < 1)
    fail(Fault::bug, "price: {} scores of {} probes over {} tokens", scores.size(), probes, tokens);
  const std::size_t sequences = scores.size() / probes;
  std::vector<double> parts(sequences, 0.0);  // of each sequence, in the sum of all
  double sum = 0;
  for (std::size_t n = 0; n < sequences; ++n) {
    for (std::size_t k = 0; k < probes; ++k) {
      const double s = scores[n * probes + k];
      parts[n] += s * s;
    }
    parts[n] /= 2.0 * static_cast<double>(probes) * static_cast<double>(tokens);
    sum += parts[n];
  }
  if (sequences == 1) return {sum, std::numeric_limits<double>::infinity()};
  const double mean = sum / static_cast<double>(sequences);
  double squares = 0;
  for (const double part : parts) squares += (part - mean) * (part - mean);
  const auto count = static_cast<double>(sequences);
  return {sum, std::sqrt(count / (count - 1) * squares)};
}

}  // namespace strata
