#include "engine/graph/facts.h"

#include <algorithm>
#include <array>

namespace strata {

std::span<const Fact> known_facts() {
  using Scope = Fact::Scope;
  static constexpr auto table = std::to_array<Fact>({
      {.bit = facts::source, .name = "source", .at_start = true},
      {.bit = facts::boundary, .name = "boundary", .at_start = true, .moves_on = true},
      {.bit = facts::watch, .name = "watch"},
      {.bit = facts::moments, .name = "moments", .kept = true},
      {.bit = facts::renders, .name = "renders", .kept = true},
      {.bit = facts::scores, .name = "scores", .kept = true},
      {.bit = facts::assignment, .name = "assignment", .scope = Scope::model, .kept = true},
      {.bit = facts::measured, .name = "measured", .scope = Scope::model, .kept = true},
      {.bit = facts::output, .name = "output"},
  });
  return table;
}

const Fact* find_fact(unsigned bit) {
  const std::span<const Fact> known = known_facts();
  const auto found = std::ranges::find(known, bit, &Fact::bit);
  return found == known.end() ? nullptr : &*found;
}

std::string facts_text(unsigned facts) {
  std::string text;
  for (const Fact& fact : known_facts())
    if ((facts & fact.bit) != 0) text.append(text.empty() ? "" : " ").append(fact.name);
  return text;
}

}  // namespace strata
