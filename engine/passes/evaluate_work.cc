#include "engine/passes/evaluate_work.h"

#include "engine/graph/pass_question.h"
#include "engine/passes/layer_work.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/render_store.h"
#include "engine/plan/menu_index.h"

namespace strata {
namespace {

// Options of the part's Linears that are encoded, those that are stored or the others, count so many values.
void add_encodings(const WorkQuestion& question, const MenuIndex& menu, bool stored, WorkSheet& sheet) {
  for (const Part& part : question.parts)
    for (const LinearSpec* linear : part.linears)
      if (const MenuUnit* const unit = menu.unit_of(*linear); unit != nullptr && part.visit->layer != nullptr)
        for (const MenuOption& option : unit->options)
          if (option.encodes() && is_stored(question.pass, *option.format) == stored)
            sheet.code(Effort::encode, option.format,
                       static_cast<double>(linear->out) * static_cast<double>(linear->in));
}

}  // namespace

void store_work(const WorkQuestion& question, WorkSheet& sheet) {
  const Menu menu = probe_menu(question.pass);
  add_encodings(question, MenuIndex(question.pass.model, menu), true, sheet);
  sheet.add(Effort::write, static_cast<double>(stored_bytes(question.pass)));
}

void evaluate_work(const WorkQuestion& question, WorkSheet& sheet) {
  const Menu menu = probe_menu(question.pass);
  add_encodings(question, MenuIndex(question.pass.model, menu), false, sheet);
  const auto lanes = static_cast<double>(question.lanes);
  const Times all{.multiply = lanes, .attend = lanes, .touch = lanes, .call = lanes};
  for (const Part& part : question.parts) {
    if (part.kind == Part::Kind::logits) {
      const LinearSpec& head = question.pass.model.spec->head;
      sheet.multiply({.rows = question.block_rows(), .out = part.end_row - part.first_row, .in = head.in},
                     lanes * question.tokens());
      constexpr double sums = 4;  // of exponentials, in double
      sheet.touch({.rows = question.block_rows(), .in = question.states.hidden},
                  lanes * sums * question.tokens() * static_cast<double>(part.end_row - part.first_row));
    }
    if (part.visit->layer == nullptr) continue;
    layer_work(question, part).add(all, question, sheet);
    if (part.kind == Part::Kind::mixer) router_work(question, part).add(all, question, sheet);
  }
  const auto visits = static_cast<double>(question.pass.model.spec->layers.size() + 1);
  sheet.add(Effort::pack,
            visits * lanes * question.tokens() * static_cast<double>(question.states.hidden) * sizeof(float));
}

}  // namespace strata
