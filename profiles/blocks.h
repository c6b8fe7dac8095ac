// The parts that Llama-like families share, with the tensor names of Hugging Face. A family calls them
// from its describe() and changes what it does differently.
#pragma once

#include <string>
#include <string_view>

#include "profiles/canonical.h"
#include "profiles/model_spec.h"
#include "profiles/profile.h"

namespace strata {

// `prefix` is the layer's ("model.layers.3"). `bias`: of all four projections.
AttentionSpec make_attention(const std::string& prefix, const DecoderConfig& decoder, bool bias);

// RMSNorm of each query and key head before the rotation.
void add_head_norms(AttentionSpec& attention, const std::string& prefix, const DecoderConfig& decoder);

// `prefix` is the module's ("model.layers.3.mlp").
GatedMlpSpec make_mlp(const std::string& prefix, const DecoderConfig& decoder, bool bias);
MoeSpec make_moe(const std::string& prefix, const DecoderConfig& decoder, const MoeConfig& moe);

// A layer's prefix; the family adds its two blocks. Error{input} when the checkpoint has no such layer.
LayerSpec make_layer(int layer, const DecoderConfig& decoder, const TensorLookup& tensors);

// x += body(RMSNorm(x)), under the norm's name in Hugging Face: input_layernorm, post_attention_layernorm.
void add_mixer(LayerSpec& layer, const DecoderConfig& decoder, Body mixer);
void add_ffn(LayerSpec& layer, const DecoderConfig& decoder, Body ffn);

// Everything but the layers.
ModelSpec make_model(std::string_view family, const Config& config, const DecoderConfig& decoder,
                     const TensorLookup& tensors);

}  // namespace strata
