#include "engine/plan/menu.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/plan/menu_index.h"
#include "engine/plan/output_plan.h"
#include "engine/plan/pattern_rules.h"

namespace strata {
namespace {

using Unit = std::vector<const LinearSpec*>;

Assignment all_in(const OpenModel& model, AssignmentRequest request, AssignmentContext context,
                  const NumberFormat& format) {
  request.scheme = format.name;
  request.file.clear();
  request.allow_nothing = true;  // of one format of several
  context.of_menu = true;
  return assign_formats(model, request, context);
}

// Whether the members became what was asked for, or where the source holds that already, copies of it.
bool is_option(const Assignment& assignment, const NumberFormat& asked, const Unit& unit) {
  return std::ranges::all_of(unit, [&](const LinearSpec* linear) {
    const NumberFormat& given = assignment.of(*linear);
    if (&given == &asked || (asked.verbatim && given.verbatim)) return true;
    return assignment.copies_codes(*linear) && (asked.verbatim || stores_same(asked, given));
  });
}

// Of a unit that did not become what was asked for.
std::string why_not(const OpenModel& model, const Assignment& assignment, const NumberFormat& asked, const Unit& unit) {
  for (const LinearSpec* linear : unit) {
    const StoredLinear& stored = model.linear(*linear).stored;
    if (asked.source_only && stored.dense()) return fmt::format("it is stored as {}", stored.text());
    if (const std::optional<std::string> why = asked.refusal({linear->out, linear->in})) return *why;
    if (asked.source_only) return fmt::format("it is stored as {}", stored.text());
  }
  return fmt::format("it is kept as {}", assignment.of(*unit.front()).name);
}

// What is copied, and a dense weight in the type that it has.
bool is_source(const OpenModel& model, const NumberFormat& format, const Unit& unit) {
  if (format.verbatim) return true;
  if (format.quantizes()) return false;
  return std::ranges::all_of(unit, [&](const LinearSpec* linear) {
    const StoredLinear& stored = model.linear(*linear).stored;
    const std::vector<Field> fields =
        format.fields({linear->out, linear->in}, stored.weight_dtype(), ScaleRule::minmax);
    return stored.dense() && fields.size() == 1 && fields.front().dtype == stored.weight_dtype();
  });
}

std::uint64_t written_bytes(const OpenModel& model, const Assignment& assignment, const Unit& unit) {
  std::uint64_t bytes = 0;
  for (const LinearSpec* linear : unit)
    for (const Field& field : written_fields(model.linear(*linear), assignment)) bytes += field_bytes(field);
  return bytes;
}

// Fills a menu, unit by unit.
class MenuMaker {
 public:
  MenuMaker(const OpenModel& model, const AssignmentRequest& request, const AssignmentContext& context,
            std::span<const NumberFormat* const> formats)
      : model_(model), rules_(request), formats_(formats), refusals_(formats.size()) {
    if (formats.empty()) fail(Fault::usage, "--formats: names no number format");
    for (const NumberFormat* format : formats) {
      if (std::ranges::count(formats, format) > 1) fail(Fault::usage, "--formats: {} stands there twice", format->name);
      each_.push_back(all_in(model, request, context, *format));
    }
  }

  Menu make() {
    for (std::size_t v = 0; v < model_.visits.size(); ++v)
      for (const Unit& members : format_units(model_.visits[v]))
        if (members.front()->kind == LinearClass::quantize && rules_.of(*members.front()).empty())
          add({.visit = v, .members = members});
    decide();
    return std::move(menu_);
  }

 private:
  // Units that a format is not legal for, and why not the first of them.
  struct Refusals {
    std::size_t units = 0;
    std::string first;
  };

  void add(MenuUnit unit) {
    std::vector<std::string> why;  // by format
    for (std::size_t i = 0; i < formats_.size(); ++i) {
      std::string text = add_option(unit, i);
      if (!text.empty() && refusals_[i].units++ == 0)
        refusals_[i].first = fmt::format("{}: {}", unit.members.front()->module, text);
      why.push_back(std::move(text));
    }
    if (unit.options.empty()) refuse(unit, why);
    for (const LinearSpec* linear : unit.members)
      unit.parameters += static_cast<std::uint64_t>(linear->out * linear->in);
    if (unit.options.size() == 1) return menu_.single.push_back(std::move(unit));
    menu_.parameters += unit.parameters;
    const auto [least, most] = std::ranges::minmax(unit.options, {}, &MenuOption::bytes);
    menu_.smallest += least.bytes;
    menu_.largest += most.bytes;
    menu_.units.push_back(std::move(unit));
  }

  // Why not; empty when it is one.
  std::string add_option(MenuUnit& unit, std::size_t i) const {
    if (!is_option(each_[i], *formats_[i], unit.members)) return why_not(model_, each_[i], *formats_[i], unit.members);
    const NumberFormat& given = each_[i].of(*unit.members.front());
    if (std::ranges::find(unit.options, &given, &MenuOption::format) == unit.options.end())
      unit.options.push_back(
          {&given, written_bytes(model_, each_[i], unit.members), is_source(model_, given, unit.members)});
    return "";
  }

  [[noreturn]] void refuse(const MenuUnit& unit, const std::vector<std::string>& why) const {
    const LinearSpec& first = *unit.members.front();
    std::string all;
    for (std::size_t i = 0; i < why.size(); ++i)
      all += fmt::format("{}{}: {}", i == 0 ? "" : "; ", formats_[i]->name, why[i]);
    fail(Fault::usage,
         "{} [{}, {}]: no number format of the menu is legal for it ({}); add BF16 to --formats, or say {}",
         first.module, first.out, first.in, all, ignore_options(model_.visits[unit.visit], first));
  }

  // Each format that is not legal for all units is said once, and each that is all that is left for some.
  void decide() {
    const std::size_t all = menu_.units.size() + menu_.single.size();
    for (std::size_t i = 0; i < formats_.size(); ++i)
      if (refusals_[i].units > 0)
        menu_.decisions.emplace_back(formats_[i]->name, fmt::format("is not legal for {} of {} units ({})",
                                                                    refusals_[i].units, all, refusals_[i].first));
    std::vector<std::pair<const NumberFormat*, std::vector<const MenuUnit*>>> left;
    for (const MenuUnit& unit : menu_.single) {
      const NumberFormat* const format = unit.options.front().format;
      auto found = std::ranges::find(left, format, &decltype(left)::value_type::first);
      if (found == left.end()) found = left.insert(left.end(), {format, {}});
      found->second.push_back(&unit);
    }
    for (const auto& [format, units] : left)
      menu_.decisions.emplace_back(
          format->name, fmt::format("is all that is legal for {} of {} units (first {}), which are not chosen for",
                                    units.size(), all, units.front()->members.front()->module));
  }

  const OpenModel& model_;
  const PatternRules rules_;
  const std::span<const NumberFormat* const> formats_;
  std::vector<Assignment> each_;
  std::vector<Refusals> refusals_;  // by format
  Menu menu_;
};

}  // namespace

std::uint64_t Menu::budget(double bits_per_parameter) const {
  return units_budget({.bits = bits_per_parameter}, parameters, 0);
}

double Menu::bits(std::uint64_t bytes) const {
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

Menu plan_menu(const OpenModel& model, const AssignmentRequest& request, const AssignmentContext& context,
               std::span<const NumberFormat* const> formats) {
  return MenuMaker(model, request, context, formats).make();
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
