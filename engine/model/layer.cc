#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <optional>
#include <variant>
#include <vector>

#include "base/error.h"
#include "engine/model/attention.h"
#include "engine/model/ffn.h"
#include "engine/model/norm.h"
#include "formats/weight/weights.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

at::Tensor norm(const std::optional<NormSpec>& spec, const LayerWeights& weights, const at::Tensor& x) {
  return spec ? rms_norm(x, weights.tensor(spec->weight), spec->eps) : x;
}

// body(x), x [n, t, hidden]: one overload a kind.
struct RunBody {
  const LayerWeights& weights;
  LinearSite& site;
  const at::Tensor& x;

  at::Tensor operator()(const AttentionSpec& spec) const { return attention(spec, weights, site, x); }
  at::Tensor operator()(const GatedMlpSpec& spec) const { return gated_mlp(spec, site, x); }
  at::Tensor operator()(const MoeSpec& spec) const {
    return mixture(spec, site, x.reshape({-1, x.size(-1)})).view(x.sizes());
  }
};

// What the block adds to x: after(body(before(x))).
at::Tensor run_block(const Block& block, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  const at::Tensor input = norm(block.before, weights, x);
  return norm(block.after, weights, std::visit(RunBody{weights, site, input}, block.body));
}

const Block& ffn(const LayerSpec& layer) {
  const Block* const block = ffn_of(layer);
  if (block == nullptr) fail(Fault::bug, "{}: ends without a feed-forward network", layer.prefix);
  return *block;
}

}  // namespace

at::Tensor run_mixer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  at::Tensor middle = x;
  for (const Block& block : layer.blocks)
    if (&block != ffn_of(layer)) middle = middle + run_block(block, weights, site, middle);
  return middle;
}

at::Tensor ffn_input(const LayerSpec& layer, const LayerWeights& weights, const at::Tensor& middle) {
  return norm(ffn(layer).before, weights, middle);
}

at::Tensor ffn_output(const LayerSpec& layer, const LayerWeights& weights, const at::Tensor& y) {
  return norm(ffn(layer).after, weights, y);
}

at::Tensor run_mlp(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& middle) {
  return run_block(ffn(layer), weights, site, middle);
}

at::Tensor run_layer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x) {
  const at::Tensor middle = run_mixer(layer, weights, site, x);
  return ffn_of(layer) == nullptr ? middle : middle + run_block(ffn(layer), weights, site, middle);
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
