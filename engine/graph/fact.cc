#include "engine/graph/fact.h"

namespace strata {

std::string facts_text(const FactList& facts) {
  std::string text;
  for (const FactInfo* fact : facts) text.append(text.empty() ? "" : " ").append(fact->name);
  return text;
}

}  // namespace strata
