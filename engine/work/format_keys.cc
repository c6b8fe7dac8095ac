#include "engine/work/format_keys.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace strata {

std::string formats_key(const Assignment& assignment, const Visit& visit) {
  Hasher hasher;
  for (const LinearSpec* linear : visit.linears)
    hasher.add(fmt::format("{}={} {}{};", linear->module, assignment.of(*linear).name, assignment.of(*linear).version,
                           assignment.copies_codes(*linear) ? " copied" : ""));
  return hasher.hex();
}

std::string assignment_key(const Assignment& assignment, const OpenModel& model) {
  Hasher hasher;
  for (const Visit& visit : model.visits) hasher.add(formats_key(assignment, visit));
  return hasher.hex();
}

std::string_view rule_name(ScaleRule rule) {
  if (rule == ScaleRule::minmax) return "minmax";
  return rule == ScaleRule::search ? "search" : "compressed-tensors";
}

std::string method_key(const RoundingMethod& method, ScaleRule rule) {
  return fmt::format("{} {} {}", method.name, method.version, rule_name(rule));
}

}  // namespace strata
