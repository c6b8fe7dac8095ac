#include "engine/plan/nothing_quantized.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <unordered_set>

#include "base/error.h"

namespace strata {
namespace {

bool fits(const NumberFormat& format, const LinearSpec& linear) { return !format.refusal({linear.out, linear.in}); }

// How many of them a format could hold: a unit counts when all of it fits.
std::size_t held(const std::vector<std::vector<const LinearSpec*>>& units, const NumberFormat& format) {
  std::size_t count = 0;
  for (const auto& unit : units)
    if (std::ranges::all_of(unit, [&](const LinearSpec* linear) { return fits(format, *linear); }))
      count += unit.size();
  return count;
}

std::vector<std::vector<const LinearSpec*>> asked_units(const OpenModel& model, const AskedFormats& asked) {
  std::unordered_set<std::string_view> modules;
  for (const AskedFormats::One& one : asked.linears) modules.insert(one.linear->module);
  std::vector<std::vector<const LinearSpec*>> units;
  for (const Visit& visit : model.visits)
    for (const auto& unit : format_units(visit))
      if (modules.contains(unit.front()->module)) {
        units.emplace_back();
        for (const LinearSpec* linear : unit) units.back().push_back(linear);
      }
  return units;
}

// The format that holds most of them and is the most like the one that was asked for; nullptr when none holds any.
const NumberFormat* nearest_format(const std::vector<std::vector<const LinearSpec*>>& units, const NumberFormat& asked,
                                   bool calibrated) {
  const StatedScheme& wanted = asked.scheme;
  const auto likeness = [&](const NumberFormat& format) {
    const StatedScheme& scheme = format.scheme;
    return std::tuple(held(units, format), !format.serving.vllm.empty(), scheme.weights.bits == wanted.weights.bits,
                      scheme.weights.type == wanted.weights.type, scheme.input.has_value() == wanted.input.has_value(),
                      scheme.weights.symmetric == wanted.weights.symmetric,
                      -std::abs(format.bits_per_weight - asked.bits_per_weight));
  };
  const NumberFormat* nearest = nullptr;
  for (const NumberFormat* const format : number_formats()) {
    if (!format->quantizes() || format->source_only || !format->serving.any()) continue;
    if ((format->calibrated_input && !calibrated) || held(units, *format) == 0) continue;
    if (nearest == nullptr || likeness(*format) > likeness(*nearest)) nearest = format;
  }
  return nearest;
}

}  // namespace

std::string nothing_quantized(const OpenModel& model, const AskedFormats& asked, const Assignment& assignment,
                              bool calibrated) {
  const auto is_quantized = [&](const AskedFormats::One& one) {
    return stores_same(assignment.of(*one.linear), *one.format);
  };
  if (asked.first == nullptr || std::ranges::any_of(asked.linears, is_quantized)) return "";
  if (asked.linears.empty())
    return fmt::format(
        "nothing would be {}: --ignore, --override or --assignment keep all of its {} Linears; leave out "
        "what keeps those that are to be quantized",
        asked.first->name, assignment.formats.size());
  const auto refused =
      std::ranges::find_if(asked.linears, [](const AskedFormats::One& one) { return !fits(*one.format, *one.linear); });
  const AskedFormats::One& shown = refused == asked.linears.end() ? asked.linears.front() : *refused;
  std::string text = fmt::format("nothing would be {}: {} {} kept", shown.format->name, asked.linears.size(),
                                 asked.linears.size() == 1 ? "Linear is" : "Linears are");
  if (refused != asked.linears.end())
    text +=
        fmt::format(" ({}: {})", shown.linear->module, *shown.format->refusal({shown.linear->out, shown.linear->in}));
  const auto units = asked_units(model, asked);
  if (const NumberFormat* const near = nearest_format(units, *shown.format, calibrated))
    text += fmt::format("; {} takes {} of them", near->name, held(units, *near));
  return text;
}

}  // namespace strata
