#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <variant>

#include "engine/model/attention.h"
#include "engine/model/ffn.h"
#include "engine/model/norm.h"
#include "formats/weights.h"

namespace strata {
namespace {

at::Tensor run_ffn(const LayerSpec& layer, LinearSite& site, const at::Tensor& x) {
  if (const GatedMlpSpec* dense = std::get_if<GatedMlpSpec>(&layer.ffn)) return gated_mlp(*dense, site, x);
  return mixture(*layer.moe(), site, x.reshape({-1, x.size(-1)})).view(x.sizes());
}

at::Tensor norm(const NormSpec& spec, const LayerWeights& weights, const at::Tensor& x) {
  return rms_norm(x, weights.tensor(spec.weight), spec.eps);
}

}  // namespace

at::Tensor run_layer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  const at::Tensor middle = x + attention(layer.mixer, weights, site, norm(layer.mixer_norm, weights, x));
  return middle + run_ffn(layer, site, norm(layer.ffn_norm, weights, middle));
}

void embed(const OpenModel& model, const LayerBytes& bytes, DecodeAs decode, std::span<const TokenId> ids,
           std::span<float> out) {
  const TensorInfo& table = model.checkpoint.at(model.spec.embedding);
  const std::span<const std::byte> stored = bytes.bytes(table.name);
  const auto hidden = static_cast<std::size_t>(model.spec.hidden);
  const std::size_t row_bytes = hidden * dtype_bytes(table.dtype);
  for (std::size_t i = 0; i < ids.size(); ++i)
    widen(table.dtype, stored.subspan(static_cast<std::size_t>(ids[i]) * row_bytes, row_bytes),
          out.subspan(i * hidden, hidden));
  if (decode == DecodeAs::bf16) round_to_bf16(out);
}

at::Tensor head_input(const ModelSpec& model, const at::Tensor& final_norm, const at::Tensor& x) {
  return rms_norm(x, final_norm, model.final_norm.eps);
}

at::Tensor head_logits(const ModelSpec& model, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  return site(model.head, head_input(model, weights.tensor(model.final_norm.weight), x));
}

}  // namespace strata
