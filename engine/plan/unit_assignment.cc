#include "engine/plan/unit_assignment.h"

#include "base/error.h"
#include "engine/plan/leftover.h"

namespace strata {
namespace {

std::string with_others(const std::vector<const LinearSpec*>& unit) {
  return unit.size() == 1 ? "" : fmt::format(", with the {} others of its unit,", unit.size() - 1);
}

// The format whose codes a Linear is stored in; nullptr when it is dense.
const NumberFormat* stored_codes(const StoredLinear& stored) {
  if (stored.dense()) return nullptr;
  return stored.format != nullptr ? stored.format : &require_number_format(stored.storage->copy_format(stored));
}

}  // namespace

void UnitAssignment::settle(const std::vector<const LinearSpec*>& unit) {
  const NumberFormat& asked = common_format(unit);
  const UnitCopy copy = copies_.of(unit, asked);
  const bool same = copy.format != nullptr && stores_same(asked, *copy.format);
  if (asked.source_only && !same && !of_menu_) require_stored(unit, asked, copy);
  if (asked.verbatim || asked.source_only || same) return keep(unit, copy);
  for (const LinearSpec* linear : unit) {
    const std::optional<std::string> why = asked.refusal({linear->out, linear->in});
    if (!why) continue;
    if (strict_) fail(Fault::input, "{}: cannot be {}: {}", linear->module, asked.name, *why);
    decide(*linear, fmt::format("kept{} in {} instead of {}: {}", with_others(unit),
                                model_.linear(*linear).stored.text(), asked.name, *why));
    return keep(unit, copy);
  }
}

const NumberFormat& UnitAssignment::common_format(const std::vector<const LinearSpec*>& unit) const {
  const NumberFormat& first = assignment_.of(*unit[0]);
  for (const LinearSpec* linear : unit)
    if (assignment_.of(*linear).name != first.name)
      fail(Fault::usage,
           "{} would be {} and {} {}, but they are served as one matrix: give all {} of their unit the same format",
           unit[0]->module, first.name, linear->module, assignment_.of(*linear).name, unit.size());
  return first;
}

// A format that only copies must find its codes. That they cannot be served in their shape is for keep() to say.
void UnitAssignment::require_stored(const std::vector<const LinearSpec*>& unit, const NumberFormat& asked,
                                    const UnitCopy& copy) const {
  const StoredLinear& stored = model_.linear(copy.subject != nullptr ? *copy.subject : *unit[0]).stored;
  const NumberFormat* const own = stored_codes(stored);
  if (own != nullptr && stores_same(*own, asked)) return;
  fail(Fault::usage, "{}: cannot be {}, which only copies: it is stored as {}{}", stored.module, asked.name,
       stored.text(), own == nullptr ? "" : fmt::format(", whose codes {} takes", own->name));
}

// The source's codes in a form that loaders take, or else its values.
void UnitAssignment::keep(const std::vector<const LinearSpec*>& unit, const UnitCopy& copy) {
  if (copy.format == nullptr) {
    if (strict_) fail(Fault::input, "{}: cannot be kept: {}", copy.subject->module, copy.reason);
    decide(*copy.subject,
           fmt::format("decoded{} to {}, not copied: {}", with_others(unit), decoded_format().name, copy.reason));
  } else if (!copy.reason.empty()) {
    decide(*copy.subject, copy.reason);
  }
  for (const LinearSpec* linear : unit) {
    const bool dense = model_.linear(*linear).stored.dense();
    const NumberFormat& own = dense ? kept_format() : decoded_format();
    assignment_.formats.at(linear->index) = copy.format != nullptr ? copy.format : &own;
    if (copy.format != nullptr && !dense) assignment_.copied.at(linear->index) = 1;
  }
}

void UnitAssignment::decide(const LinearSpec& linear, std::string text) {
  assignment_.decisions.emplace_back(linear.module, std::move(text));
}

void note_dropped(const OpenModel& model, Assignment& assignment) {
  if (std::string text = leftover_of(model); !text.empty())
    assignment.decisions.emplace_back(model.checkpoint.config().path(), std::move(text));
  if (model.dropped.empty()) return;
  assignment.decisions.emplace_back(
      model.dropped.front(),
      fmt::format("left out, like all {} scales of the source's cache; --kv-cache fp8 measures those of the output",
                  model.dropped.size()));
}

}  // namespace strata
