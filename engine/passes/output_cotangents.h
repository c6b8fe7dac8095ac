// Random directions of a model's own output, whose squares are its KL-Fisher form: where the probe begins.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/leased_buffer.h"
#include "engine/model/layer_weights.h"

namespace at {
class Tensor;
}

namespace strata {

class Desk;
struct CostQuestion;
class CostSheet;

// With p = softmax(logits) and z of independent signs, g = sqrt(p) z - p <sqrt(p), z> has the Fisher information of p
// as its covariance (docs/method.md). z comes from (seed of the pass, probe, position, entry) alone.
class OutputCotangents {
 public:
  // The norm and all of the head, out of a Part::Kind::logits.
  void take(Desk& desk);

  // Of hidden states x [rows, hidden] that enter the head, at positions [first, first + rows) of all samples: the
  // gradient of <g, logits> with respect to x, one a probe. Thread-safe. Must run where gradients are on.
  std::vector<at::Tensor> of(const ModelSpec& model, const at::Tensor& x, std::int64_t first, int probes) const;

  void release();  // what take() took

  static void add_cost(const CostQuestion& question, CostSheet& sheet);

 private:
  at::Tensor head(const ModelSpec& model) const;

  std::vector<float> norm_, bias_;
  std::optional<LeasedBuffer> rows_;                // of a dense head, decoded
  std::shared_ptr<const LayerWeights> coded_ = {};  // or all of it
};

}  // namespace strata
