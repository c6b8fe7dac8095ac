#include "engine/passes/probe_work.h"

#include "engine/graph/pass_question.h"
#include "engine/passes/layer_work.h"
#include "engine/passes/output_cotangents.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/render_store.h"
#include "engine/plan/menu_index.h"

namespace strata {
namespace {

// Of a forward: attention's products of three tensors have gradients by two of them and the scores again; an operation
// of one value has another one or two to go back.
constexpr double attend_back = 2.5, touch_back = 2, call_back = 2;

// Every option of every Linear of the part: encoded, and multiplied with its input as it is served; the difference of
// the output is weighed by each cotangent.
void add_options(const WorkQuestion& question, const MenuIndex& menu, const Part& part, WorkSheet& sheet) {
  const double probes = question.pass.request.mixed.probes, share = share_of(part), tokens = question.tokens() * share;
  const WorkSize block{.rows = question.block_rows(), .in = question.states.hidden};
  for (const LinearSpec* linear : part.linears) {
    const MenuUnit* const unit = menu.unit_of(*linear);
    if (unit == nullptr) continue;
    const auto out = static_cast<double>(linear->out), in = static_cast<double>(linear->in);
    for (const MenuOption& option : unit->options) {
      if (option.source) continue;
      if (option.encodes() && !is_stored(question.pass, *option.format))
        sheet.code(Effort::encode, option.format, out * in);
      sheet.multiply(product_of(question, part, *linear), tokens);
      const double served = option.format->input_rule(question.pass.request.mixed.runtime) != nullptr ? 3 * in : 0;
      constexpr double sums = 30;  // where a row's sum goes
      sheet.touch(block, tokens * (served + 2 * out + probes * (2 * out + sums)));
      sheet.add(Effort::call, question.blocks() * (6 + 4 * probes));
    }
  }
}

// What comes to a part of each cotangent and what leaves it: copied, added, stored.
void add_cotangents(const WorkQuestion& question, double each, WorkSheet& sheet) {
  const WorkSize block{.rows = question.block_rows(), .in = question.states.hidden};
  const double probes = question.pass.request.mixed.probes;
  sheet.touch(block, question.tokens() * static_cast<double>(question.states.hidden) * (2 + each * probes));
  sheet.add(Effort::call, question.blocks() * each * probes);
}

// Logits, their probabilities, and directions of the output at each of the vocabulary.
void add_head(const WorkQuestion& question, WorkSheet& sheet) {
  const LinearSpec& head = question.pass.model.spec->head;
  const double probes = question.pass.request.mixed.probes;
  const WorkSize logits{.rows = OutputCotangents::most_rows, .in = head.out};
  sheet.multiply({.rows = OutputCotangents::most_rows, .out = head.out, .in = head.in},
                 question.tokens() * (1 + probes));
  // Softmax and roots; signs, their weights, two sums and a difference.
  sheet.touch(logits, question.tokens() * static_cast<double>(head.out) * (5 + probes * 7));
  add_cotangents(question, 8, sheet);
}

}  // namespace

void probe_work(const WorkQuestion& question, WorkSheet& sheet) {
  const Menu menu = probe_menu(question.pass);
  const MenuIndex index(question.pass.model, menu);
  const double probes = question.pass.request.mixed.probes;
  const Times back{
      .multiply = probes, .attend = attend_back * probes, .touch = touch_back * probes, .call = call_back * probes};
  for (const Part& part : question.parts) {
    if (part.kind == Part::Kind::logits) {
      add_head(question, sheet);
      continue;
    }
    if (part.visit->layer == nullptr) continue;
    const LayerWork work = layer_work(question, part);
    // The mixer once for what enters the MLP, and once more on the way back.
    const double forwards = part.kind == Part::Kind::mixer ? 2 : 1;
    work.add({.multiply = forwards, .attend = forwards, .touch = forwards, .call = forwards}, question, sheet);
    work.add(back, question, sheet);
    if (part.kind == Part::Kind::experts) {
      router_work(question, part).add({}, question, sheet);
      router_work(question, part).add(back, question, sheet);
    }
    add_cotangents(question, part.kind == Part::Kind::mixer ? 6 : 5, sheet);
    add_options(question, index, part, sheet);
  }
  // What enters each layer is read again; what leaves it is kept of each cotangent.
  const double states = question.tokens() * static_cast<double>(question.states.hidden) * sizeof(float);
  const auto visits = static_cast<double>(question.pass.model.spec->layers.size() + 1);
  sheet.add(Effort::unpack, visits * states);
  sheet.add(Effort::pack, visits * states * static_cast<double>(question.lanes));
}

}  // namespace strata
