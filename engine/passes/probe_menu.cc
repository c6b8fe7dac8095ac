#include "engine/passes/probe_menu.h"

#include <fmt/ranges.h>

namespace strata {

const RoundingMethod& probe_method(const PassQuestion& question) {
  return require_rounding_method(question.request.rounding.method_name());
}

ScaleRule probe_rule(const PassQuestion& question) { return probe_method(question).rule; }

Menu probe_menu(const PassQuestion& question) {
  std::vector<const NumberFormat*> formats;
  for (const std::string& name : question.request.mixed.formats) formats.push_back(&require_number_format(name));
  return plan_menu(question.model, question.request.assignment, {.rule = probe_rule(question), .has_data = true},
                   formats);
}

Assignment menu_assignment(const PassQuestion& question, const FormatsByModule* decided) {
  AssignmentRequest request = question.request.assignment;
  request.scheme = question.request.mixed.formats.front();  // of what is not on the menu
  request.allow_nothing = decided == nullptr || request.allow_nothing;
  return assign_formats(question.model, request, {.rule = probe_rule(question), .has_data = true, .decided = decided});
}

Collect probe_collects(const PassQuestion& question) { return Collect::amax | probe_method(question).wants; }

std::string formats_text(const MixedRequest& mixed) { return fmt::format("{}", fmt::join(mixed.formats, ",")); }

}  // namespace strata
