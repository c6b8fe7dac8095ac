#include "profiles/layer_questions.h"

namespace strata {

namespace {

// Whether the body is a feed-forward network, which looks at each token by itself.
struct IsFfn {
  bool operator()(const AttentionSpec& /*attention*/) const { return false; }
  bool operator()(const GatedMlpSpec& /*mlp*/) const { return true; }
  bool operator()(const MoeSpec& /*moe*/) const { return true; }
};

void append(const GatedMlpSpec& mlp, std::vector<const LinearSpec*>& list) {
  list.insert(list.end(), {&mlp.gate, &mlp.up, &mlp.down});
}

}  // namespace

const Block* ffn_of(const LayerSpec& layer) {
  const Block& last = layer.blocks.back();
  return std::visit(IsFfn(), last.body) ? &last : nullptr;
}

const AttentionSpec* attention_of(const LayerSpec& layer) {
  for (const Block& block : layer.blocks)
    if (const auto* const attention = std::get_if<AttentionSpec>(&block.body)) return attention;
  return nullptr;
}

std::string attention_module(const AttentionSpec& attention) {
  return attention.k.module.substr(0, attention.k.module.rfind('.'));
}

const GatedMlpSpec* mlp_of(const LayerSpec& layer) {
  for (const Block& block : layer.blocks)
    if (const auto* const mlp = std::get_if<GatedMlpSpec>(&block.body)) return mlp;
  return nullptr;
}

const MoeSpec* experts_of(const LayerSpec& layer) { return std::get_if<MoeSpec>(&layer.blocks.back().body); }

const LinearSpec* router_of(const LayerSpec& layer) {
  const MoeSpec* const moe = experts_of(layer);
  return moe == nullptr ? nullptr : &moe->router;
}

std::vector<const LinearSpec*> expert_linears(const LayerSpec& layer) {
  std::vector<const LinearSpec*> list;
  if (const MoeSpec* const moe = experts_of(layer))
    for (const GatedMlpSpec& expert : moe->experts) append(expert, list);
  return list;
}

std::vector<const LinearSpec*> first_expert(const LayerSpec& layer) {
  std::vector<const LinearSpec*> list;
  if (expert_count(layer) > 0) append(experts_of(layer)->experts.front(), list);
  return list;
}

int expert_count(const LayerSpec& layer) {
  const MoeSpec* const moe = experts_of(layer);
  return moe == nullptr ? 0 : static_cast<int>(moe->experts.size());
}

int chosen_experts(const LayerSpec& layer) {
  const MoeSpec* const moe = experts_of(layer);
  return moe == nullptr ? 0 : moe->top_k;
}

}  // namespace strata
