// Runs a LayerSpec: the one interpreter of all families.
#pragma once

#include <cstdint>
#include <span>

#include "engine/model/linear_site.h"
#include "formats/tokenizer/tokenizer.h"
#include "profiles/model_spec.h"

namespace strata {

// x [n, t, hidden] float32, the layer's input; gives its output, same shape. Rows are independent samples.
at::Tensor run_layer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x);

// The same in steps, as a layer is cut into parts. All blocks before the feed-forward network (ffn_of()):
at::Tensor run_mixer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x);
// before(middle), of what left the mixer; after(y), of what its experts gave:
at::Tensor ffn_input(const LayerSpec& layer, const LayerWeights& weights, const at::Tensor& middle);
at::Tensor ffn_output(const LayerSpec& layer, const LayerWeights& weights, const at::Tensor& y);
// after(mlp(before(middle))) of a layer without experts; the caller adds it to `middle`:
at::Tensor run_mlp(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& middle);

// The embeddings of those `ids` that are among the given rows of the table, [first_row, ...): one row of `out`
// [ids, hidden] each; other rows of `out` stay as they are. Only the rows that are asked for are decoded.
void embed(const OpenModel& model, std::span<const std::byte> rows, std::int64_t first_row, DecodeAs decode,
           std::span<const TokenId> ids, std::span<float> out);

// The embeddings of all `ids`, read row by row from the checkpoint.
void look_up(const OpenModel& model, DecodeAs decode, std::span<const TokenId> ids, std::span<float> out);

// What enters the head: hidden states [..., hidden] after the final norm. `final_norm` is its weight [hidden].
at::Tensor head_input(const ModelSpec& model, const at::Tensor& final_norm, const at::Tensor& x);

// Logits [..., vocabulary] of hidden states [..., hidden] after the last layer. `weights` holds the head visit.
at::Tensor head_logits(const ModelSpec& model, const LayerWeights& weights, LinearSite& site, const at::Tensor& x);

}  // namespace strata
