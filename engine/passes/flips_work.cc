#include "engine/passes/flips_work.h"

#include <algorithm>

#include "engine/graph/pass_question.h"
#include "engine/passes/flip_lanes.h"
#include "engine/passes/layer_work.h"
#include "engine/passes/probe_menu.h"

namespace strata {
namespace {

// The source's, and those that have started.
double lanes_in(const std::vector<FlipLane>& lanes, std::size_t visit) {
  return 1 +
         static_cast<double>(std::ranges::count_if(lanes, [&](const FlipLane& lane) { return lane.starts <= visit; }));
}

void add_logits(const WorkQuestion& question, const Part& part, double lanes, WorkSheet& sheet) {
  const LinearSpec& head = question.pass.model.spec->head;
  sheet.multiply({.rows = question.block_rows(), .out = part.end_row - part.first_row, .in = head.in},
                 lanes * question.tokens());
  constexpr double sums = 4;  // of exponentials, in double
  sheet.touch({.rows = question.block_rows(), .in = question.states.hidden},
              lanes * sums * question.tokens() * static_cast<double>(part.end_row - part.first_row));
}

}  // namespace

void flips_work(const WorkQuestion& question, WorkSheet& sheet) {
  const Menu menu = probe_menu(question.pass);
  const std::vector<FlipLane> lanes = flip_lanes(question.pass, menu);
  for (const FlipLane& lane : lanes)
    for (const std::size_t u : lane.units) {
      const MenuUnit& unit = menu.units[u];
      const MenuOption& option = unit.options[smallest_encoding(unit)];
      if (option.encodes()) sheet.code(Effort::encode, option.format, static_cast<double>(unit.parameters));
    }
  for (const Part& part : question.parts) {
    const double count = lanes_in(lanes, part.visit_index);
    if (part.kind == Part::Kind::logits) add_logits(question, part, count, sheet);
    if (part.visit->layer == nullptr) continue;
    const Times all{.multiply = count, .attend = count, .touch = count, .call = count};
    layer_work(question, part).add(all, question, sheet);
    if (part.kind == Part::Kind::mixer) {
      router_work(question, part).add(all, question, sheet);
      sheet.add(Effort::pack, count * question.tokens() * static_cast<double>(question.states.hidden) * sizeof(float));
    }
  }
}

}  // namespace strata
