// What the config.json of a decoder says, whichever way it is spelled. Read once; a value that the
// interpreter does not do is Error{input} with the key, the value and what is supported.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/config/config.h"
#include "profiles/model_spec.h"
#include "profiles/profile.h"

namespace strata {

// Of a Llama-like decoder; all sizes are positive and the heads fit together.
struct DecoderConfig {
  std::int64_t hidden = 0, vocabulary = 0, max_position = 0;
  std::int64_t intermediate = 0;  // width of a dense MLP
  int layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  double eps = 0;
  Activation activation = Activation::silu;
  RopeSpec rope;
};

// `text` is the text model's part. head_dim falls back to `default_head_dim` when its key is missing, to
// hidden / heads when that is 0 or the key is null.
DecoderConfig parse_decoder(const Config& text, std::int64_t default_head_dim = 0);

// rope_parameters (transformers 5) or rope_scaling with rope_theta (transformers 4).
RopeSpec parse_rope(const Config& text);

// Which tensors are the two ends of the model. `embedding` is a full tensor name; tied: both are one tensor.
struct Ends {
  std::string embedding;
  std::string head;  // module
  bool tied = false;
};
Ends find_ends(const Config& config, const TensorLookup& tensors);

bool ties_ends(const Config& config);  // tie_word_embeddings, of the whole config or of the text model

struct MoeConfig {
  int experts = 0, top_k = 0;
  std::int64_t intermediate = 0;
  bool renormalize = false;
  std::vector<bool> sparse;  // per layer: a mixture of experts, else a dense MLP
};
MoeConfig parse_moe(const Config& text, int layers);

// True when the key stands in the file, null included: some defaults differ from null.
bool has_key(const Config& config, std::string_view key);

// Error{input} "config.json: use_sliding_window is true; only false is supported".
[[noreturn]] void refuse(const Config& config, std::string_view key, std::string_view supported);
void require_false(const Config& config, std::string_view key);

// layer_types, where it exists, has one entry a layer and each is `kind`.
void require_layer_types(const Config& text, int layers, std::string_view kind);

}  // namespace strata
