// Whether quantized weights decode to those of the source.
#include <algorithm>
#include <cmath>

#include "engine/linear_rows.h"
#include "engine/lost_weight.h"
#include "engine/verify_codes.h"
#include "engine/verify_rules.h"

namespace strata::rule {
namespace {

// The distance from the source's Linear; nullopt where the source stores no such Linear that is read here.
std::optional<LinearDistance> distance_from_source(const VerifyContext& context, const LinearSpec& linear) {
  const Shape shape = {linear.out, linear.in};
  const auto in_source = [&](std::string_view name) { return context.source->find(name); };
  // A head of its own, which the source stores as the embedding.
  const bool untied = context.source_spec && context.source_spec->tied && &linear == &context.output.spec.head;
  const StoredLinear from =
      untied ? find_stored_linear(context.source_spec->head.module, shape, nullptr, {}, in_source)
             : find_stored_linear(linear.module, shape, context.source_stored->format_of(linear.module),
                                  context.source_native, in_source);
  const auto is_there = [&](const StoredPart& part) { return from.field(part.field.suffix) != nullptr; };
  if (!std::ranges::all_of(from.parts, is_there)) return std::nullopt;
  const LinearRows original(*context.source, from);
  const LinearRows decoded(context.output.checkpoint, context.output.stored_linear(linear));
  const LinearDistance seen = distance(original, decoded, context.deep ? Extent::whole : Extent::glance, context.stop);
  // The first rows of a Linear may be small beside the others.
  if (context.deep || seen.squared_other > 0 || seen.squared_weight == 0) return seen;
  return distance(original, decoded, Extent::whole, context.stop);
}

// Codes nearest to the weights are never further away than zero is, and what is left of a Linear that lost most of
// itself points its own way: no wrong scale (which leaves it parallel) and no other Linear (across) looks so.
bool is_what_is_left(const LinearDistance& d) {
  const double factor = d.product / d.squared_other;
  const double parallel = d.product * d.product / (d.squared_weight * d.squared_other);
  return d.relative() <= 1 && factor > 0.5 && factor < 1.5 && parallel < 0.9;
}

void judge(const VerifyContext& context, const LinearSpec& linear, const LinearDistance& distance, Findings& findings) {
  if (distance.squared_other == 0 && distance.squared_weight > 0) {
    const double elements = static_cast<double>(linear.out) * static_cast<double>(linear.in);
    const double rms = std::sqrt(distance.squared_weight / elements);
    findings.judge(rms > negligible_weight, linear.module,
                   "decodes to zero everywhere, the source does not (its root mean square is {:.3g})", rms);
  } else if (!(distance.relative() <= lost_share)) {
    const double factor = distance.squared_other > 0 ? distance.product / distance.squared_other : 0;
    const bool of_source = std::isnan(distance.relative()) && holds_codes_of_source(context, linear);
    findings.judge(
        !is_what_is_left(distance) && !of_source, linear.module,
        "decoded weights differ from the source's by {:.3g} of their size, expected at most {}; they would be "
        "nearest if scaled by {:.3g}",
        distance.relative(), lost_share, factor);
  }
}

struct Worst {
  double error = -1;
  std::string where;
};

// A floor has only what is stored in a number format.
void measure(const VerifyContext& context, const LinearSpec& linear, Worst& worst, Findings& findings) {
  try {
    const std::optional<LinearDistance> distance = distance_from_source(context, linear);
    if (!distance) return;
    judge(context, linear, *distance, findings);
    if (distance->relative() > worst.error) worst = {distance->relative(), linear.module};
    if (!context.deep) return;
    const NumberFormat* const format = context.format(linear);
    const std::string name(format != nullptr ? format->name : context.native.at(linear.module));
    const SqnrFloor& floor = format != nullptr ? format->floor : no_floor;
    findings.quality({linear.module, name, distance->sqnr(), floor.db});
    if (distance->sqnr() < floor.db)
      findings.note(linear.module, "has {:.2f} dB, {} usually has {} or more ({})", distance->sqnr(), name, floor.db,
                    floor.reason);
  } catch (const Error& broken) {
    if (broken.fault != Fault::input) throw;
    findings.judge(!holds_codes_of_source(context, linear), linear.module, "cannot be decoded: {}", broken.what());
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
    const bool coded = format != nullptr || context.native.contains(linear.module);
    if (!coded || !is_whole(context, linear)) return;
    check_interrupt(context.stop);
    measure(context, linear, worst, findings);
  });
  if (!worst.where.empty()) findings.fact("largest weight error", fmt::format("{:.4f} ({})", worst.error, worst.where));
}

}  // namespace strata::rule
