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
            std::span<const NumberFormat* const> formats, const MenuRules& rules)
      : model_(model),
        patterns_(request),
        per_expert_(request.per_expert),
        rules_(rules),
        served_(model, rules),
        formats_(formats),
        refusals_(formats.size()) {
    if (formats.empty()) fail(Fault::usage, "--formats: names no number format");
    for (const NumberFormat* format : formats) {
      if (std::ranges::count(formats, format) > 1) fail(Fault::usage, "--formats: {} stands there twice", format->name);
      each_.push_back(all_in(model, request, context, *format));
    }
  }

  Menu make() {
    for (std::size_t v = 0; v < model_.visits.size(); ++v)
      for (const Unit& members : format_units(model_.visits[v], per_expert_)) find(v, members);
    for (MenuUnit& unit : found_) add_options(unit);
    if (rules_.ties_experts()) tie_experts();
    decide();
    for (MenuUnit& unit : found_) (unit.options.size() == 1 ? menu_.single : menu_.units).push_back(std::move(unit));
    count();
    decide_single();
    return std::move(menu_);
  }

 private:
  // Units that a format is not legal for, and why not the first of them.
  struct Refusals {
    std::size_t units = 0;
    std::string first;
  };

  void find(std::size_t visit, const Unit& members) {
    if (members.front()->kind != LinearClass::quantize) return;
    if (const std::string pattern = patterns_.of(*members.front()); !pattern.empty()) {
      if (served_.are_experts(members)) experts_kept_ = pattern;
      return;
    }
    MenuUnit& unit = found_.emplace_back(MenuUnit{.visit = visit, .members = members});
    for (const LinearSpec* linear : members) unit.parameters += static_cast<std::uint64_t>(linear->out * linear->in);
  }

  void add_options(MenuUnit& unit) {
    std::vector<std::string> why;  // by format
    for (std::size_t i = 0; i < formats_.size(); ++i) {
      std::string text = add_option(unit, i);
      if (!text.empty() && refusals_[i].units++ == 0)
        refusals_[i].first = fmt::format("{}: {}", unit.members.front()->module, text);
      why.push_back(std::move(text));
    }
    if (unit.options.empty()) refuse(unit, why);
  }

  // Why not; empty when it is one.
  std::string add_option(MenuUnit& unit, std::size_t i) const {
    if (!is_option(each_[i], *formats_[i], unit.members)) return why_not(model_, each_[i], *formats_[i], unit.members);
    const NumberFormat& given = each_[i].of(*unit.members.front());
    if (std::optional<std::string> why = served_.refusal(unit.members, given)) return *why;
    if (std::ranges::find(unit.options, &given, &MenuOption::format) == unit.options.end())
      unit.options.push_back(
          {&given, written_bytes(model_, each_[i], unit.members), is_source(model_, given, unit.members)});
    return "";
  }

  // Whether some format would be legal for a unit, were the model spread over so many devices.
  bool fits(const MenuUnit& unit, int devices) const {
    for (std::size_t i = 0; i < formats_.size(); ++i)
      if (is_option(each_[i], *formats_[i], unit.members) &&
          !served_.refusal(unit.members, each_[i].of(*unit.members.front()), devices))
        return true;
    return false;
  }

  [[noreturn]] void refuse(const MenuUnit& unit, const std::vector<std::string>& why) const {
    const LinearSpec& first = *unit.members.front();
    std::string all;
    for (std::size_t i = 0; i < why.size(); ++i)
      all += fmt::format("{}{}: {}", i == 0 ? "" : "; ", formats_[i]->name, why[i]);
    for (int devices = rules_.tensor_parallel - 1; devices > 0; --devices)
      if (std::ranges::all_of(found_, [&](const MenuUnit& one) { return fits(one, devices); }))
        fail(Fault::usage,
             "{} [{}, {}]: no number format of the menu is legal for it with --tp {} ({}); the largest that works is "
             "--tp {}",
             first.module, first.out, first.in, rules_.tensor_parallel, all, devices);
    fail(Fault::usage,
         "{} [{}, {}]: no number format of the menu is legal for it ({}); add BF16 to --formats, or say {}",
         first.module, first.out, first.in, all, ignore_options(model_.visits[unit.visit], first));
  }

  // Leaves experts the formats that all of them may have.
  void tie_experts() {
    std::vector<MenuUnit*> experts;
    for (MenuUnit& unit : found_)
      if (served_.are_experts(unit.members)) experts.push_back(&unit);
    if (experts.empty()) return;
    if (!experts_kept_.empty())
      fail(Fault::usage,
           "--runtime transformers: loads experts of one format alone, and {} leaves some of them out; name those of "
           "all layers there, or none",
           experts_kept_);
    const auto all_have = [&](const MenuOption& option) {
      return std::ranges::all_of(experts, [&](const MenuUnit* unit) {
        return std::ranges::find(unit->options, option.format, &MenuOption::format) != unit->options.end();
      });
    };
    std::vector<const NumberFormat*> common;
    for (const MenuOption& option : experts.front()->options)
      if (all_have(option)) common.push_back(option.format);
    if (common.empty())
      fail(Fault::usage,
           "--runtime transformers: loads experts of one format alone, and no format of the menu is legal for those of "
           "all layers; add BF16 to --formats");
    for (MenuUnit* unit : experts) {
      std::erase_if(unit->options,
                    [&](const MenuOption& option) { return std::ranges::find(common, option.format) == common.end(); });
      unit->tied = true;
    }
    if (experts.size() > 1)
      menu_.decisions.emplace_back(
          "experts",
          fmt::format("those of all {} layers get one format: transformers would load others wrong without a word",
                      experts.size()));
  }

  void count() {
    std::vector<std::uint64_t> tied;  // bytes by option, of all that get the same
    for (const MenuUnit& unit : menu_.units) {
      menu_.parameters += unit.parameters;
      if (unit.tied) {
        tied.resize(unit.options.size(), 0);
        for (std::size_t i = 0; i < tied.size(); ++i) tied[i] += unit.options[i].bytes;
        continue;
      }
      const auto [least, most] = std::ranges::minmax(unit.options, {}, &MenuOption::bytes);
      menu_.smallest += least.bytes;
      menu_.largest += most.bytes;
    }
    if (tied.empty()) return;
    const auto [least, most] = std::ranges::minmax(tied);
    menu_.smallest += least;
    menu_.largest += most;
  }

  // Each format that is not legal for all units is said once.
  void decide() {
    for (std::size_t i = 0; i < formats_.size(); ++i)
      if (refusals_[i].units > 0)
        menu_.decisions.emplace_back(
            formats_[i]->name,
            fmt::format("is not legal for {} of {} units ({})", refusals_[i].units, found_.size(), refusals_[i].first));
  }

  // And each that is all that is left for some.
  void decide_single() {
    const std::size_t all = menu_.units.size() + menu_.single.size();
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
  const PatternRules patterns_;
  const bool per_expert_;
  const MenuRules rules_;
  const ServedUnits served_;
  const std::span<const NumberFormat* const> formats_;
  std::vector<Assignment> each_;
  std::vector<Refusals> refusals_;  // by format
  std::vector<MenuUnit> found_;     // that may be chosen for
  std::string experts_kept_;        // the option that leaves some experts out
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
               std::span<const NumberFormat* const> formats, const MenuRules& rules) {
  return MenuMaker(model, request, context, formats, rules).make();
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
