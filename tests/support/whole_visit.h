// A visit as one part, for tests that run a layer at once.
#pragma once

#include "engine/plan/part.h"

namespace strata::test {

inline Part whole_visit(const OpenModel& model, const Visit& visit) {
  Part part{.model = &model, .visit = &visit, .linears = visit.linears, .kept = visit.kept};
  part.kept.insert(part.kept.end(), visit.borrowed.begin(), visit.borrowed.end());
  part.pieces = stored_pieces(model, part.linears, part.kept);
  part.first = part.last = true;
  return part;
}

}  // namespace strata::test
