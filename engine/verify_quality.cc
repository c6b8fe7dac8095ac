// Whether quantized weights decode to those of the source.
#include <algorithm>
#include <cmath>

#include "engine/linear_rows.h"
#include "engine/sqnr_floors.h"
#include "engine/verify_rules.h"

namespace strata::rule {
namespace {

// Largest weight error, relative to the weights, that a number format of at least 3 bits makes; a decoded
// weight that is further away has a wrong scale or belongs to another model.
constexpr double largest_error = 0.5;

// The distance from the source's Linear; nullopt where the source stores no such Linear that is read here.
std::optional<LinearDistance> distance_from_source(const VerifyContext& context, const LinearSpec& linear,
                                                   const NumberFormat& format) {
  const Shape shape = {linear.out, linear.in};
  const auto in_source = [&](std::string_view name) { return context.source->find(name); };
  const auto in_output = [&](std::string_view name) { return context.output.checkpoint.find(name); };
  const StoredLinear from = find_stored_linear(linear.module, shape, context.source_stored->format_of(linear.module),
                                               context.source_native, in_source);
  const auto is_there = [&](const StoredPart& part) { return from.field(part.field.suffix) != nullptr; };
  if (!std::ranges::all_of(from.parts, is_there)) return std::nullopt;
  const LinearRows original(*context.source, from);
  const LinearRows decoded(context.output.checkpoint, find_stored_linear(linear.module, shape, &format, {}, in_output));
  return distance(original, decoded, context.deep ? Extent::whole : Extent::glance, context.stop);
}

void judge(const LinearSpec& linear, const LinearDistance& distance, Findings& findings) {
  if (distance.squared_other == 0 && distance.squared_weight > 0) {
    findings.add(linear.module, "decodes to zero everywhere, the source does not");
  } else if (!(distance.relative() <= largest_error)) {
    const double factor = distance.squared_other > 0 ? distance.product / distance.squared_other : 0;
    findings.add(linear.module,
                 "decoded weights differ from the source's by {:.3g} of their size, expected at most {}; they would be "
                 "nearest if scaled by {:.3g}",
                 distance.relative(), largest_error, factor);
  }
}

struct Worst {
  double error = -1;
  std::string where;
};

void measure(const VerifyContext& context, const LinearSpec& linear, const NumberFormat& format, Worst& worst,
             Findings& findings) {
  try {
    const std::optional<LinearDistance> distance = distance_from_source(context, linear, format);
    if (!distance) return;
    judge(linear, *distance, findings);
    if (distance->relative() > worst.error) worst = {distance->relative(), linear.module};
    if (!context.deep) return;
    const SqnrFloor& floor = sqnr_floor(format.name);
    findings.quality({linear.module, std::string(format.name), distance->sqnr(), floor.db});
    if (distance->sqnr() < floor.db)
      findings.note(linear.module, "has {:.2f} dB, {} usually has {} or more ({})", distance->sqnr(), format.name,
                    floor.db, floor.reason);
  } catch (const Error& broken) {
    if (broken.fault != Fault::input) throw;
    findings.add(linear.module, "cannot be decoded: {}", broken.what());
  }
}

// Every field is there in its shape: otherwise other rules have said so.
bool is_whole(const VerifyContext& context, const LinearSpec& linear) {
  if (context.misfits.contains(linear.module)) return false;
  return std::ranges::all_of(context.fields_of(linear),
                             [&](const Field& field) { return context.field(linear, field) != nullptr; });
}

}  // namespace

// Without --deep the first rows of each Linear.
void weight_error(const VerifyContext& context, Findings& findings) {
  Worst worst;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat* format) {
    if (format == nullptr || !is_whole(context, linear)) return;
    check_interrupt(context.stop);
    measure(context, linear, *format, worst, findings);
  });
  if (!worst.where.empty()) findings.fact("largest weight error", fmt::format("{:.4f} ({})", worst.error, worst.where));
}

}  // namespace strata::rule
