#include "engine/passes/coding_work.h"

#include <algorithm>

#include "engine/graph/pass_question.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/render_store.h"
#include "engine/plan/menu_index.h"

namespace strata {
namespace {

double values_of(const LinearSpec& linear) { return static_cast<double>(linear.out) * static_cast<double>(linear.in); }

void render_smallest(const WorkQuestion& question, WorkSheet& sheet) {
  const Menu menu = probe_menu(question.pass);
  for (const MenuUnit& unit : menu.units) {
    const MenuOption& option = *std::ranges::min_element(unit.options, {}, &MenuOption::bytes);
    if (option.encodes() && !is_stored(question.pass, *option.format))
      sheet.code(Effort::encode, option.format, static_cast<double>(unit.parameters));
  }
}

}  // namespace

void decode_work(const WorkQuestion& question, WorkSheet& sheet) {
  for (const Part& part : question.parts) {
    if (part.kind == Part::Kind::copy || part.kind == Part::Kind::head) continue;
    for (const LinearSpec* linear : part.linears)
      sheet.code(Effort::decode, question.pass.model.linear(*linear).stored.format, values_of(*linear));
    if (part.kind == Part::Kind::logits && part.linears.empty())
      sheet.code(
          Effort::decode, nullptr,
          static_cast<double>(part.end_row - part.first_row) * static_cast<double>(question.pass.model.spec->hidden));
  }
}

void render_work(const WorkQuestion& question, WorkSheet& sheet) {
  if (question.pass.assignment == nullptr) return render_smallest(question, sheet);
  for (const Part& part : question.parts)
    for (const LinearSpec* linear : part.linears)
      if (!question.pass.assignment->copies(*linear) && !question.pass.is_stored(*linear))
        sheet.code(Effort::encode, &question.pass.assignment->of(*linear), values_of(*linear));
}

void assemble_work(const WorkQuestion& question, WorkSheet& sheet) { sheet.add(Effort::write, question.output); }

}  // namespace strata
