// A model as data: what the interpreter of engine/model runs, what the planner sizes, what the claim
// audit checks. A family fills it in (profiles/*.cc); it holds no weights and no torch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace strata {

// Whether a Linear is quantized unless the user says otherwise.
enum class LinearClass : std::uint8_t { quantize, keep };

// A Linear that lies in a dense tensor with others: "mlp.experts.gate_up_proj" [experts, rows, in] holds those of all
// experts, gate_proj in the first rows of each matrix and up_proj after it.
struct StoredSlice {
  std::string tensor;          // full name
  std::int64_t index = 0;      // of the matrix, along the first dimension
  std::int64_t first_row = 0;  // of the Linear in that matrix; the others are its LinearSpec::out

  bool operator==(const StoredSlice&) const = default;
};

// One weight matrix [out, in], y = x W^T. `module` is the Hugging Face module name and the stem of its
// tensors: "<module>.weight", "<module>.bias".
struct LinearSpec {
  std::string module;
  std::int64_t out = 0, in = 0;
  LinearClass kind = LinearClass::quantize;
  bool bias = false;
  // Where it is read from, if not from tensors of its own; written it is under `module` all the same. The slices of a
  // tensor cover it without gaps and belong to one layer.
  std::optional<StoredSlice> slice = {};
  // Linears that a server runs as one matrix: they must share a format and its tensor-wide scales.
  // Equal non-empty strings within a layer belong together ("model.layers.0.self_attn.qkv_proj").
  std::string fused_module;
  // Linears that see the same input share one activation statistic. All experts' gate and up carry one.
  std::string input;
  std::size_t index = 0;  // its row in whatever is kept of each Linear of a model: number_linears()

  bool operator==(const LinearSpec&) const = default;
};

struct NormSpec {
  std::string weight;  // full tensor name; RMSNorm: w * x / sqrt(mean(x^2) + eps)
  std::int64_t size = 0;
  double eps = 0;

  bool operator==(const NormSpec&) const = default;
};

enum class RopeKind : std::uint8_t { plain, linear, llama3 };

// Rotary embedding, half-split layout, over the whole head (docs/models.md has the formulas).
struct RopeSpec {
  RopeKind kind = RopeKind::plain;
  double theta = 10000;
  double factor = 1;
  double original_positions = 0, low_frequency_factor = 1, high_frequency_factor = 4;  // llama3

  bool operator==(const RopeSpec&) const = default;
};

struct AttentionSpec {
  LinearSpec q, k, v, o;
  std::optional<NormSpec> q_norm, k_norm;  // per head, before the rotation
  int heads = 0, kv_heads = 0, head_dim = 0;
  RopeSpec rope;
  std::int64_t window = 0;  // sliding window in tokens, the query included; 0 = full causal

  bool operator==(const AttentionSpec&) const = default;
};

enum class Activation : std::uint8_t { silu, gelu_tanh };

struct GatedMlpSpec {  // down(act(gate x) * up x)
  LinearSpec gate, up, down;
  Activation activation = Activation::silu;

  bool operator==(const GatedMlpSpec&) const = default;
};

struct MoeSpec {
  LinearSpec router;                  // softmax over all experts in float32, then the top k
  std::vector<GatedMlpSpec> experts;  // at least one
  int top_k = 0;
  bool renormalize = true;  // divide the k weights by their sum

  bool operator==(const MoeSpec&) const = default;
};

// What a block computes. A kind is a spec and an overload of each visitor in profiles/{model_spec,layer_questions}.cc,
// engine/plan/blocks.cc and engine/model/layer.cc: one that is missing does not compile. Nobody else looks inside.
using Body = std::variant<AttentionSpec, GatedMlpSpec, MoeSpec>;

struct Block {  // x += after(body(before(x)))
  std::optional<NormSpec> before, after;
  Body body;

  bool operator==(const Block&) const = default;
};

struct LayerSpec {
  std::string prefix;         // "model.layers.3"
  std::vector<Block> blocks;  // one after another, at least one; a mixture of experts is the last

  bool operator==(const LayerSpec&) const = default;
};

// Tensors that are no part of the decoder and are kept whole, byte for byte: a vision tower, heads that predict further
// tokens. They are dense: an output's config says nothing of codes there.
struct Section {
  std::string name;    // "visual"
  std::string prefix;  // of its tensors, with the dot: "model.visual."

  bool has(std::string_view tensor) const { return tensor.starts_with(prefix); }
};

struct ModelSpec {
  std::string family;  // the profile's name
  std::int64_t hidden = 0, vocabulary = 0, max_position = 0;
  std::string embedding;  // "model.embed_tokens.weight", or the head's name when only that is on disk
  std::vector<LayerSpec> layers;
  NormSpec final_norm;
  LinearSpec head;  // tied: head.module + ".weight" == embedding
  bool tied = false;
  std::vector<Section>
      sections;  // none holds a tensor of another, or of the above; one that is not stored is passed over
};

// Every Linear, block by block: q k v o, or gate up down, or the router and then gate up down of each expert.
std::vector<const LinearSpec*> linears(const Block& block);
std::vector<const LinearSpec*> linears(const LayerSpec& layer);
// Every norm, block by block: the one before, those within (of q and k), the one after.
std::vector<const NormSpec*> norms(const LayerSpec& layer);

// Those of all layers in order, then the head unless it is tied. number_linears() makes the place of each its index.
std::vector<const LinearSpec*> linears(const ModelSpec& model);
void number_linears(ModelSpec& model);

}  // namespace strata
