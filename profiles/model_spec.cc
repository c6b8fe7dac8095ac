#include "profiles/model_spec.h"

namespace strata {

namespace {

// `Layer` and `Linear` are const or both are not.
template <typename Linear, typename Layer>
void append_linears(Layer& layer, std::vector<Linear*>& list) {
  const auto append = [&](auto& mlp) { list.insert(list.end(), {&mlp.gate, &mlp.up, &mlp.down}); };
  list.insert(list.end(), {&layer.mixer.q, &layer.mixer.k, &layer.mixer.v, &layer.mixer.o});
  if (auto* moe = std::get_if<MoeSpec>(&layer.ffn)) {
    list.push_back(&moe->router);
    for (auto& expert : moe->experts) append(expert);
  } else {
    append(std::get<GatedMlpSpec>(layer.ffn));
  }
}

template <typename Linear, typename Model>
std::vector<Linear*> all_linears(Model& model) {
  std::vector<Linear*> list;
  for (auto& layer : model.layers) append_linears<Linear>(layer, list);
  if (!model.tied) list.push_back(&model.head);
  return list;
}

}  // namespace

std::vector<const LinearSpec*> linears(const LayerSpec& layer) {
  std::vector<const LinearSpec*> list;
  append_linears<const LinearSpec>(layer, list);
  return list;
}

std::vector<const LinearSpec*> linears(const ModelSpec& model) { return all_linears<const LinearSpec>(model); }

void number_linears(ModelSpec& model) {
  std::size_t index = 0;
  for (LinearSpec* linear : all_linears<LinearSpec>(model)) linear->index = index++;
}

std::vector<const NormSpec*> norms(const LayerSpec& layer) {
  std::vector<const NormSpec*> list = {&layer.mixer_norm};
  if (layer.mixer.q_norm) list.push_back(&*layer.mixer.q_norm);
  if (layer.mixer.k_norm) list.push_back(&*layer.mixer.k_norm);
  list.push_back(&layer.ffn_norm);
  return list;
}

}  // namespace strata
