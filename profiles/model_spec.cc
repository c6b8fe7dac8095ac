#include "profiles/model_spec.h"

#include <concepts>
#include <type_traits>

namespace strata {

namespace {

template <typename Spec, typename Kind>
concept Of = std::same_as<std::remove_const_t<Spec>, Kind>;

// The Linears of a body. `Linear` and the spec are const or both are not.
template <typename Linear>
struct AppendLinears {
  std::vector<Linear*>& list;

  void operator()(Of<AttentionSpec> auto& attention) const {
    list.insert(list.end(), {&attention.q, &attention.k, &attention.v, &attention.o});
  }
  void operator()(Of<GatedMlpSpec> auto& mlp) const { list.insert(list.end(), {&mlp.gate, &mlp.up, &mlp.down}); }
  void operator()(Of<MoeSpec> auto& moe) const {
    list.push_back(&moe.router);
    for (auto& expert : moe.experts) (*this)(expert);
  }
};

struct AppendNorms {
  std::vector<const NormSpec*>& list;

  void operator()(const AttentionSpec& attention) const {
    add(attention.q_norm);
    add(attention.k_norm);
  }
  void operator()(const GatedMlpSpec& /*mlp*/) const {}
  void operator()(const MoeSpec& /*moe*/) const {}
  void add(const std::optional<NormSpec>& norm) const {
    if (norm) list.push_back(&*norm);
  }
};

template <typename Linear, typename Layer>
void append_linears(Layer& layer, std::vector<Linear*>& list) {
  for (auto& block : layer.blocks) std::visit(AppendLinears<Linear>{list}, block.body);
}

template <typename Linear, typename Model>
std::vector<Linear*> all_linears(Model& model) {
  std::vector<Linear*> list;
  for (auto& layer : model.layers) append_linears<Linear>(layer, list);
  if (!model.tied) list.push_back(&model.head);
  return list;
}

}  // namespace

std::vector<const LinearSpec*> linears(const Block& block) {
  std::vector<const LinearSpec*> list;
  std::visit(AppendLinears<const LinearSpec>{list}, block.body);
  return list;
}

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
  std::vector<const NormSpec*> list;
  const AppendNorms append{list};
  for (const Block& block : layer.blocks) {
    append.add(block.before);
    std::visit(append, block.body);
    append.add(block.after);
  }
  return list;
}

}  // namespace strata
