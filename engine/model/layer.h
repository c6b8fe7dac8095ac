// Runs a LayerSpec: the one interpreter of all families.
#pragma once

#include <cstdint>
#include <span>

#include "engine/model/linear_site.h"
#include "formats/tokenizer.h"
#include "profiles/model_spec.h"

namespace strata {

// x [n, t, hidden] float32, the layer's input; gives its output, same shape. Rows are independent samples.
at::Tensor run_layer(const LayerSpec& layer, const LayerWeights& weights, LinearSite& site, const at::Tensor& x);

// The embeddings of `ids`, one row of `out` [ids, hidden] each. `bytes` holds the embedding visit; only the
// rows that are asked for are decoded.
void embed(const OpenModel& model, const LayerBytes& bytes, DecodeAs decode, std::span<const TokenId> ids,
           std::span<float> out);

// What enters the head: hidden states [..., hidden] after the final norm. `final_norm` is its weight [hidden].
at::Tensor head_input(const ModelSpec& model, const at::Tensor& final_norm, const at::Tensor& x);

// Logits [..., vocabulary] of hidden states [..., hidden] after the last layer. `weights` holds the head visit.
at::Tensor head_logits(const ModelSpec& model, const LayerWeights& weights, LinearSite& site, const at::Tensor& x);

}  // namespace strata
