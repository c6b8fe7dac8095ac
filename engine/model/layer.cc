#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <variant>
#include <vector>

#include "engine/model/attention.h"
#include "engine/model/ffn.h"
#include "engine/model/norm.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

at::Tensor norm(const NormSpec& spec, const LayerWeights& weights, const at::Tensor& x) {
  return rms_norm(x, weights.tensor(spec.weight), spec.eps);
}

}  // namespace

at::Tensor run_mixer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  return x + attention(layer.mixer, weights, site, norm(layer.mixer_norm, weights, x));
}

at::Tensor ffn_input(const LayerSpec& layer, const LayerWeights& weights, const at::Tensor& middle) {
  return norm(layer.ffn_norm, weights, middle);
}

at::Tensor run_mlp(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& middle) {
  return gated_mlp(std::get<GatedMlpSpec>(layer.ffn), site, ffn_input(layer, weights, middle));
}

at::Tensor run_layer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  const at::Tensor middle = run_mixer(layer, weights, site, x);
  if (layer.moe() == nullptr) return middle + run_mlp(layer, weights, site, middle);
  const at::Tensor input = ffn_input(layer, weights, middle);
  return middle + mixture(*layer.moe(), site, input.reshape({-1, input.size(-1)})).view(input.sizes());
}

void embed(const OpenModel& model, std::span<const std::byte> rows, std::int64_t first_row, DecodeAs decode,
           std::span<const TokenId> ids, std::span<float> out) {
  const TensorInfo& table = model.checkpoint.at(model.spec->embedding);
  const auto hidden = static_cast<std::size_t>(model.spec->hidden);
  const std::size_t row_bytes = hidden * dtype_bytes(table.dtype);
  const auto end_row = first_row + static_cast<std::int64_t>(rows.size() / row_bytes);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < first_row || ids[i] >= end_row) continue;
    const std::span<float> values = out.subspan(i * hidden, hidden);
    widen(table.dtype, rows.subspan(static_cast<std::size_t>(ids[i] - first_row) * row_bytes, row_bytes), values);
    if (decode == DecodeAs::bf16) round_to_bf16(values);
  }
}

void look_up(const OpenModel& model, DecodeAs decode, std::span<const TokenId> ids, std::span<float> out) {
  const TensorInfo& table = model.checkpoint.at(model.spec->embedding);
  const auto hidden = static_cast<std::size_t>(model.spec->hidden);
  std::vector<std::byte> row(hidden * dtype_bytes(table.dtype));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    model.checkpoint.read(table, row, static_cast<std::uint64_t>(ids[i]) * row.size());
    const std::span<float> values = out.subspan(i * hidden, hidden);
    widen(table.dtype, row, values);
    if (decode == DecodeAs::bf16) round_to_bf16(values);
  }
}

at::Tensor head_input(const ModelSpec& model, const at::Tensor& final_norm, const at::Tensor& x) {
  return rms_norm(x, final_norm, model.final_norm.eps);
}

at::Tensor head_logits(const ModelSpec& model, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  return site(model.head, head_input(model, weights.tensor(model.final_norm.weight), x));
}

}  // namespace strata
