#include "profiles/model_spec.h"

namespace strata {

namespace {

void append(std::vector<const LinearSpec*>& list, const GatedMlpSpec& mlp) {
  list.push_back(&mlp.gate);
  list.push_back(&mlp.up);
  list.push_back(&mlp.down);
}

}  // namespace

std::vector<const LinearSpec*> linears(const LayerSpec& layer) {
  const AttentionSpec& attention = layer.mixer;
  std::vector<const LinearSpec*> list = {&attention.q, &attention.k, &attention.v, &attention.o};
  if (const MoeSpec* moe = layer.moe()) {
    list.push_back(&moe->router);
    for (const GatedMlpSpec& expert : moe->experts) append(list, expert);
  } else {
    append(list, std::get<GatedMlpSpec>(layer.ffn));
  }
  return list;
}

std::vector<const NormSpec*> norms(const LayerSpec& layer) {
  std::vector<const NormSpec*> list = {&layer.mixer_norm};
  if (layer.mixer.q_norm) list.push_back(&*layer.mixer.q_norm);
  if (layer.mixer.k_norm) list.push_back(&*layer.mixer.k_norm);
  list.push_back(&layer.ffn_norm);
  return list;
}

}  // namespace strata
