// What whoever plans, checks or reports asks of a layer, without looking into its blocks.
#pragma once

#include <string>
#include <vector>

#include "profiles/model_spec.h"

namespace strata {

// The block after which a layer ends: the last one, an MLP or a mixture of experts. nullptr for a layer that ends with
// attention. It is read in parts of its own, all blocks before it together.
const Block* ffn_of(const LayerSpec& layer);

// The attention whose keys and values a server caches; nullptr when there is none.
const AttentionSpec* attention_of(const LayerSpec& layer);
// "model.layers.3.self_attn": servers look for the scales of its cache there.
std::string attention_module(const AttentionSpec& attention);

const GatedMlpSpec* mlp_of(const LayerSpec& layer);  // nullptr for a layer with experts
const MoeSpec* experts_of(const LayerSpec& layer);   // nullptr for a layer without experts
// Of a layer without experts: nullptr, empty or 0.
const LinearSpec* router_of(const LayerSpec& layer);
std::vector<const LinearSpec*> expert_linears(const LayerSpec& layer);  // gate up down of each expert, in order
std::vector<const LinearSpec*> first_expert(const LayerSpec& layer);    // gate up down
int expert_count(const LayerSpec& layer);
int chosen_experts(const LayerSpec& layer);  // by each token

}  // namespace strata
