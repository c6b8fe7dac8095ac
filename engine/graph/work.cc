#include "engine/graph/work.h"

namespace strata {

double& WorkSheet::row(const WorkRow& like) {
  for (WorkRow& mine : rows_)
    if (mine.same(like)) return mine.amount;
  return rows_.emplace_back(like).amount;
}

void WorkSheet::multiply(const WorkSize& product, double tokens) {
  row({.kind = Effort::multiply, .size = product}) +=
      2 * tokens * static_cast<double>(product.out) * static_cast<double>(product.in);
}

// Scores, and what they weigh: of all keys, though half of them are behind the mask.
void WorkSheet::attend(const WorkSize& heads, double tokens) {
  row({.kind = Effort::attend, .size = heads}) +=
      4 * tokens * static_cast<double>(heads.rows) * static_cast<double>(heads.out);
}

double WorkSheet::total(Effort kind) const {
  double total = 0;
  for (const WorkRow& mine : rows_)
    if (mine.kind == kind) total += mine.amount;
  return total;
}

}  // namespace strata
