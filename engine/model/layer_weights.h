// The weights of one part of a visit as float32 tensors, decoded from whatever they are stored in.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/device/device.h"
#include "engine/model/served.h"
#include "engine/plan/open_model.h"
#include "engine/source/layer_bytes.h"

namespace at {
class Tensor;
}

namespace strata {

// Holds the decoded weights of the part that was loaded last, and the vectors (norms, biases) of all parts of its
// visit so far. Not thread-safe to load.
class LayerWeights {
 public:
  explicit LayerWeights(const Device& device);
  ~LayerWeights();
  LayerWeights(LayerWeights&&) noexcept;

  // Decodes every tensor of the part out of `bytes`, which must outlive the use of its matrices (float32
  // sources are not copied).
  void load(const OpenModel& model, const Part& part, const LayerBytes& bytes, DecodeAs decode);

  at::Tensor tensor(std::string_view name) const;                 // a tensor kept dense: norm, embedding, bias
  at::Tensor weight(const LinearSpec& linear) const;              // [out, in]
  std::span<const float> values(const LinearSpec& linear) const;  // the same, row by row
  at::Tensor bias(const LinearSpec& linear) const;                // [out]; undefined when there is none

  // Whose rules quantize the input of a Linear when it is served; nullptr format when there are none.
  struct ServedInput {
    const NumberFormat* format = nullptr;
    float scale = 0;
  };
  ServedInput served_input(const LinearSpec& linear) const;

  // The same weights where they lie: for as long as these last, and until they are loaded anew.
  LayerWeights view() const;
  // In the place of what was loaded: values [out, in], which outlive their use, and what is done to inputs.
  void serve(const LinearSpec& linear, std::span<const float> values);
  void serve_input(const LinearSpec& linear, const ServedInput& input);

  // The first by name of what is decoded that holds NaN or infinity; "" when nothing does.
  std::string not_finite() const;

  // What load() will hold for a part, beside LayerBytes.
  static std::uint64_t memory(const OpenModel& model, const Part& part, DecodeAs decode = DecodeAs::f32);

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace strata
