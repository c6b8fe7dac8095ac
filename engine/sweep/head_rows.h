// The head of a model as a Part::Kind::logits brings it: the final norm, some rows of the matrix, the bias.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/model/layer_weights.h"

namespace at {
class Tensor;
}

namespace strata {

class Desk;

// Thread-safe once it is taken.
class HeadRows {
 public:
  // Decodes what the desk's part brings, as the desk says. A coded head is that of facts::weights, whole.
  void take(Desk& desk);
  void release();  // the memory of it

  std::int64_t first() const { return first_; }  // rows [first, end) of the vocabulary
  std::int64_t end() const { return end_; }
  const LayerWeights* coded() const { return coded_.get(); }  // nullptr where it is dense

  at::Tensor input(const ModelSpec& model, const at::Tensor& x) const;  // of hidden states [..., hidden]: head_input()
  at::Tensor weight(const ModelSpec& model) const;                      // [end - first, hidden]
  std::optional<at::Tensor> bias() const;                               // [end - first]
  std::string not_finite(const ModelSpec& model) const;                 // a tensor of it that is not; "" when all are

 private:
  std::vector<float> norm_, bias_;
  std::optional<Device> device_;  // where rows lie
  std::optional<DeviceBuffer> rows_;
  std::shared_ptr<const LayerWeights> coded_ = {};
  std::int64_t first_ = 0, end_ = 0;
};

}  // namespace strata
