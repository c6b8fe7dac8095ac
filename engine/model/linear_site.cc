#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/linear_site.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>

#include <optional>

namespace strata {

struct LinearSite::LastInput {
  at::Tensor original, quantized;
  const NumberFormat* format = nullptr;
  float scale = 0;
};

LinearSite::LinearSite(const LayerWeights& weights, ActivationMode activations, SiteObserver* observer)
    : weights_(weights), activations_(activations), observer_(observer), last_(std::make_unique<LastInput>()) {}
LinearSite::~LinearSite() = default;

at::Tensor LinearSite::operator()(const LinearSpec& linear, const at::Tensor& x) {
  if (observer_ != nullptr) observer_->see(linear, x);
  const at::Tensor input = activations_ == ActivationMode::none ? x : served(linear, x);
  const at::Tensor bias = weights_.bias(linear);
  at::Tensor y =
      at::linear(input, weights_.weight(linear), bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
  if (observer_ != nullptr) observer_->gave(linear, x, y);
  return y;
}

at::Tensor LinearSite::served(const LinearSpec& linear, const at::Tensor& x) {
  const auto [format, scale] = weights_.served_input(linear);
  if (format == nullptr || x.numel() == 0) return x;
  const Runtime runtime = activations_ == ActivationMode::vllm ? Runtime::vllm : Runtime::transformers;
  const QuantizeInput quantize = format->input_rule(runtime);
  if (quantize == nullptr) return x;
  if (last_->original.is_same(x) && last_->format == format && last_->scale == scale) return last_->quantized;

  at::Tensor quantized = x.clone(at::MemoryFormat::Contiguous);
  const std::int64_t cols = quantized.size(-1);
  quantize({quantized.mutable_data_ptr<float>(), static_cast<std::size_t>(quantized.numel())}, quantized.numel() / cols,
           cols, scale);
  *last_ = {x, quantized, format, scale};
  return quantized;
}

}  // namespace strata
