#include "engine/sweep/desk.h"

#include <algorithm>

#include "base/error.h"

namespace strata {

void Desk::require_declared(const FactInfo& fact) const {
  if (!pass_.wants(fact) && !pass_.writes.contains(fact))
    fail(Fault::bug, "pass {}: asks for {}, which it does not declare", pass_.name, fact.name);
}

void Desk::require_written(const FactInfo& fact) const {
  if (!pass_.writes.contains(fact))
    fail(Fault::bug, "pass {}: makes {}, which it does not declare to write", pass_.name, fact.name);
}

std::shared_ptr<void> Desk::look_up(const FactInfo& fact) const {
  require_declared(fact);
  return board_.find(fact);
}

std::shared_ptr<void> Desk::require(const FactInfo& fact) const {
  std::shared_ptr<void> value = look_up(fact);
  if (value == nullptr) fail(Fault::bug, "pass {}: asks for {} before anybody made it", pass_.name, fact.name);
  return value;
}

const OutputTools& Desk::output() const {
  require_declared(facts::output);
  if (output_.sink == nullptr) fail(Fault::bug, "pass {}: writes the output before it is laid out", pass_.name);
  return output_;
}

bool Desk::keeps(const FactInfo& fact) const { return std::ranges::find(tools_.keeps, &fact) != tools_.keeps.end(); }

void Desk::decide(std::string subject, std::string text) {
  Decision decision(std::move(subject), std::move(text));
  if (std::ranges::find(place_.decisions, decision) == place_.decisions.end())
    place_.decisions.push_back(std::move(decision));
}

}  // namespace strata
