// Random directions of a model's own output, whose squares are its KL-Fisher form: where the probe begins.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/sweep/head_rows.h"

namespace at {
class Tensor;
}

namespace strata {

struct CostQuestion;
struct MovingStates;
class CostSheet;

// With p = softmax(logits) and z of independent signs, g = sqrt(p) z - p <sqrt(p), z> has the Fisher information of p
// as its covariance (docs/method.md). z comes from (seed of the pass, probe, position, entry) alone.
class OutputCotangents {
 public:
  static constexpr std::int64_t most_rows = 128;  // positions whose logits are there at once

  void take(Desk& desk) { head_.take(desk); }  // all of the head, out of a Part::Kind::logits
  void release() { head_.release(); }
  std::string not_finite(const ModelSpec& model) const { return head_.not_finite(model); }

  // Of hidden states x [rows, hidden] that enter the head, at positions [first, first + rows) of all samples: the
  // gradient of <g, logits> with respect to x, one a probe. `see` is shown logits and p of rows from a position on, in
  // order. Thread-safe. Must run where gradients are on.
  using See = std::function<void(std::int64_t first, const at::Tensor& logits, const at::Tensor& p)>;
  std::vector<at::Tensor> of(const ModelSpec& model, const at::Tensor& x, std::int64_t first, int probes,
                             const See& see) const;

  static void add_cost(const CostQuestion& question, const MovingStates& cotangents, CostSheet& sheet);

 private:
  HeadRows head_;
};

}  // namespace strata
