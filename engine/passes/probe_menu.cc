#include "engine/passes/probe_menu.h"

#include <fmt/ranges.h>

#include "cache/fingerprint.h"
#include "engine/work/format_keys.h"

namespace strata {

const RoundingMethod& probe_method(const PassQuestion& question) {
  return require_rounding_method(question.request.rounding.method_name());
}

ScaleRule probe_rule(const PassQuestion& question) { return probe_method(question).rule; }

Menu probe_menu(const PassQuestion& question) {
  std::vector<const NumberFormat*> formats;
  for (const std::string& name : question.request.mixed.formats) formats.push_back(&require_number_format(name));
  return plan_menu(question.model, question.request.assignment, {.rule = probe_rule(question), .has_data = true},
                   formats,
                   {.runtime = question.request.mixed.runtime,
                    .any_runtime = question.request.assignment.allow_unservable,
                    .tensor_parallel = question.request.mixed.tensor_parallel});
}

Assignment menu_assignment(const PassQuestion& question, const Menu& menu, const FormatsByModule* decided) {
  AssignmentRequest request = question.request.assignment;
  request.scheme = question.request.mixed.formats.front();  // of what is not on the menu
  request.allow_nothing = decided == nullptr || request.allow_nothing;
  FormatsByModule all = decided == nullptr ? FormatsByModule() : *decided;
  for (const MenuUnit& unit : menu.single)
    for (const LinearSpec* linear : unit.members) all.emplace(linear->module, unit.options.front().format);
  return assign_formats(question.model, request,
                        {.rule = probe_rule(question), .has_data = true, .decided = &all, .of_menu = true});
}

Collect probe_collects(const PassQuestion& question) { return Collect::amax | probe_method(question).wants; }

void menu_key(const PassQuestion& question, Fingerprint& print) {
  const MixedRequest& mixed = question.request.mixed;
  // Which units there are, and what each may be.
  const AssignmentRequest& asked = question.request.assignment;
  std::string menu = fmt::format("{} {} {}", formats_text(mixed), asked.strict, asked.allow_unservable);
  if (asked.per_expert) menu += " per expert";
  for (const std::string& pattern : asked.ignore) menu.append("\n").append(pattern);
  for (const auto& [pattern, format] : asked.overrides) menu.append("\n").append(pattern).append("=").append(format);
  print.add("--formats", menu);
  if (mixed.tensor_parallel > 1) print.add("--tp", std::to_string(mixed.tensor_parallel));
  print.add("runtime", std::to_string(static_cast<int>(mixed.runtime)));
  print.add("method", method_key(probe_method(question), probe_rule(question)));
}

std::string formats_text(const MixedRequest& mixed) { return fmt::format("{}", fmt::join(mixed.formats, ",")); }

}  // namespace strata
