#include "engine/passes/layer_work.h"

#include <algorithm>
#include <cmath>

#include "engine/graph/facts.h"
#include "engine/graph/graph.h"
#include "engine/graph/pass_question.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

// Values that are gone over for each that enters: the operations of engine/model, counted.
constexpr double norm = 4, rotation = 4, activation = 3;
constexpr double peak = 1, squares = 3;  // what is learnt of an input

std::int64_t inner(const LinearSpec& down) { return down.in; }

void add_products(const WorkQuestion& question, const Part& part, LayerWork& work) {
  const LinearSpec* const router = router_of(*part.visit->layer);
  for (const LinearSpec* linear : part.linears)
    if (linear != router) work.products.emplace_back(product_of(question, part, *linear), share_of(part));
}

void add_attention(const WorkQuestion& question, const Part& part, LayerWork& work) {
  const AttentionSpec* const attention = attention_of(*part.visit->layer);
  if (attention == nullptr) return;
  const double q = static_cast<double>(attention->q.out), k = static_cast<double>(attention->k.out);
  const std::int64_t tokens = question.states.tokens, window = attention->window;
  const bool windowed = window > 0 && window < tokens;
  work.heads = WorkSize{
      .rows = windowed ? std::min(tokens, window + 256) : tokens, .out = attention->q.out, .in = attention->head_dim};
  work.touched += static_cast<double>(work.block.in) * (norm + 1) + (q + k) * rotation + q;
  if (attention->q_norm) work.touched += norm * (q + k);
  work.calls += attention->q_norm ? 45 : 35;
}

// Expert by expert: its rows are picked, go through it, are weighed and added to the sum.
void add_ffn(const Part& part, LayerWork& work) {
  const auto hidden = static_cast<double>(work.block.in);
  const double share = share_of(part);
  for (std::size_t i = 2; i < part.linears.size(); i += 3) {
    work.touched += share * activation * static_cast<double>(inner(*part.linears[i]));
    if (part.kind == Part::Kind::experts) work.touched += share * 4 * hidden;
    work.calls += part.kind == Part::Kind::experts ? 12 : 5;
  }
  work.touched += hidden * (norm + 1);
  work.calls += 8;
}

}  // namespace

WorkSize product_of(const WorkQuestion& question, const Part& part, const LinearSpec& linear) {
  const double rows = std::ceil(static_cast<double>(question.block_rows()) * share_of(part));
  return {.rows = static_cast<std::int64_t>(rows), .out = linear.out, .in = linear.in};
}

double share_of(const Part& part) {
  if (part.kind != Part::Kind::experts) return 1;
  const LayerSpec& layer = *part.visit->layer;
  return static_cast<double>(chosen_experts(layer)) / static_cast<double>(expert_count(layer));
}

void LayerWork::add(const Times& times, const WorkQuestion& question, WorkSheet& sheet) const {
  for (const auto& [product, part_of_tokens] : products)
    sheet.multiply(product, times.multiply * tokens * part_of_tokens);
  if (heads) sheet.attend(*heads, times.attend * tokens);
  if (touched > 0) sheet.touch(block, times.touch * tokens * touched);
  if (calls > 0) sheet.add(Effort::call, times.call * calls * question.blocks());
}

LayerWork layer_work(const WorkQuestion& question, const Part& part) {
  LayerWork work{.block = {.rows = question.block_rows(), .in = question.states.hidden}, .tokens = question.tokens()};
  if (part.visit->layer == nullptr) return work;
  add_products(question, part, work);
  if (part.kind == Part::Kind::mixer) add_attention(question, part, work);
  if (part.kind == Part::Kind::mlp || part.kind == Part::Kind::experts) add_ffn(part, work);
  return work;
}

LayerWork router_work(const WorkQuestion& question, const Part& part) {
  LayerWork work{.block = {.rows = question.block_rows(), .in = question.states.hidden}, .tokens = question.tokens()};
  const LinearSpec* const router = part.visit->layer == nullptr ? nullptr : router_of(*part.visit->layer);
  if (router == nullptr) return work;
  work.products.emplace_back(WorkSize{.rows = question.block_rows(), .out = router->out, .in = router->in}, 1);
  work.touched = norm * static_cast<double>(router->in) + 6 * static_cast<double>(router->out);
  work.calls = 16;
  return work;
}

void propagate_work(const WorkQuestion& question, WorkSheet& sheet) {
  if (question.states.samples == 0) return;
  const double seen = peak + (question.columns ? squares : 0);
  for (const Part& part : question.parts) {
    LayerWork work = layer_work(question, part);
    if (part.visit->layer == nullptr) continue;
    std::string_view last;  // q, k and v see one tensor
    for (const LinearSpec* linear : part.linears) {
      if (linear->fused_module.empty() || linear->fused_module != last)
        work.touched += seen * share_of(part) * static_cast<double>(linear->in);
      last = linear->fused_module;
    }
    work.touched += static_cast<double>(work.block.in);  // stored
    work.add({}, question, sheet);
    if (part.kind == Part::Kind::mixer) router_work(question, part).add({}, question, sheet);
  }
  // What leaves each layer, and the embedding, is encoded for its file.
  const auto visits = static_cast<double>(question.pass.model.spec->layers.size() + 1);
  sheet.add(Effort::pack, visits * static_cast<double>(question.lanes) * question.tokens() *
                              static_cast<double>(question.states.hidden) * sizeof(float));
}

}  // namespace strata
