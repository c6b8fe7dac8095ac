#include "engine/plan/menu.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/plan/menu_index.h"
#include "engine/plan/output_plan.h"

namespace strata {
namespace {

Assignment all_in(const OpenModel& model, AssignmentRequest request, const AssignmentContext& context,
                  const NumberFormat& format) {
  request.scheme = format.name;
  request.file.clear();
  request.allow_nothing = true;  // of one format of several
  return assign_formats(model, request, context);
}

// Whether the members became what was asked for, or where that only copies, what the source holds.
bool is_option(const Assignment& assignment, const NumberFormat& asked, const std::vector<const LinearSpec*>& unit) {
  return std::ranges::all_of(unit, [&](const LinearSpec* linear) {
    const NumberFormat& given = assignment.of(*linear);
    return &given == &asked || (asked.verbatim && given.verbatim);
  });
}

// What is copied, and a dense weight in the type that it has.
bool is_source(const OpenModel& model, const NumberFormat& format, const std::vector<const LinearSpec*>& unit) {
  if (format.verbatim) return true;
  if (format.quantizes()) return false;
  return std::ranges::all_of(unit, [&](const LinearSpec* linear) {
    const StoredLinear& stored = model.linear(*linear).stored;
    const std::vector<Field> fields =
        format.fields({linear->out, linear->in}, stored.weight_dtype(), ScaleRule::minmax);
    return stored.dense() && fields.size() == 1 && fields.front().dtype == stored.weight_dtype();
  });
}

std::uint64_t written_bytes(const OpenModel& model, const Assignment& assignment,
                            const std::vector<const LinearSpec*>& unit) {
  std::uint64_t bytes = 0;
  for (const LinearSpec* linear : unit)
    for (const Field& field : written_fields(model.linear(*linear), assignment)) bytes += field_bytes(field);
  return bytes;
}

}  // namespace

std::uint64_t Menu::budget(double bits_per_parameter) const {
  return units_budget({.bits = bits_per_parameter}, parameters, 0);
}

double Menu::bits(std::uint64_t bytes) const {
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

Menu plan_menu(const OpenModel& model, const AssignmentRequest& request, const AssignmentContext& context,
               std::span<const NumberFormat* const> formats) {
  if (formats.empty()) fail(Fault::usage, "--formats: names no number format");
  std::vector<Assignment> each;
  for (std::size_t i = 0; i < formats.size(); ++i) {
    if (std::ranges::count(formats, formats[i]) > 1)
      fail(Fault::usage, "--formats: {} stands there twice", formats[i]->name);
    each.push_back(all_in(model, request, context, *formats[i]));
  }
  Menu menu;
  for (std::size_t v = 0; v < model.visits.size(); ++v)
    for (const std::vector<const LinearSpec*>& members : format_units(model.visits[v])) {
      MenuUnit unit{.visit = v, .members = members};
      for (std::size_t i = 0; i < formats.size(); ++i)
        if (is_option(each[i], *formats[i], members))
          unit.options.push_back({&each[i].of(*members.front()), written_bytes(model, each[i], members),
                                  is_source(model, each[i].of(*members.front()), members)});
      if (unit.options.size() < 2 || members.front()->kind != LinearClass::quantize) continue;
      for (const LinearSpec* linear : members) unit.parameters += static_cast<std::uint64_t>(linear->out * linear->in);
      menu.parameters += unit.parameters;
      const auto [least, most] = std::ranges::minmax(unit.options, {}, &MenuOption::bytes);
      menu.smallest += least.bytes;
      menu.largest += most.bytes;
      menu.units.push_back(std::move(unit));
    }
  return menu;
}

std::uint64_t units_budget(const MixedRequest& asked, std::uint64_t parameters, std::uint64_t others) {
  if (asked.size > 0) return asked.size > others ? asked.size - others : 0;
  return static_cast<std::uint64_t>(std::floor(asked.bits * static_cast<double>(parameters) / 8));
}

std::uint64_t other_tensor_bytes(const OpenModel& model, const Menu& menu, const Assignment& assignment) {
  const MenuIndex units(model, menu);
  std::uint64_t bytes = 0;
  for (const Visit& visit : model.visits) {
    for (const LinearSpec* linear : visit.linears)
      if (units.unit_of(*linear) == nullptr) bytes += written_bytes(model, assignment, {linear});
    for (const TensorInfo* tensor : visit.kept) bytes += tensor->bytes;  // biases too
  }
  return bytes;
}

}  // namespace strata
