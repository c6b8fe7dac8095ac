// Whether quantized weights decode to those of the source.
#include <algorithm>
#include <cmath>

#include "engine/check/codes.h"
#include "engine/check/encoding.h"
#include "engine/check/rules.h"
#include "engine/plan/lost_weight.h"

namespace strata::rule {
namespace {

// The distance from the source's Linear; nullopt where the source stores no such Linear that is read here.
std::optional<LinearDistance> distance_from_source(const VerifyContext& context, const LinearSpec& linear,
                                                   Extent extent) {
  const std::optional<LinearRows> original = rows_of_source(context, linear);
  if (!original) return std::nullopt;
  const LinearRows decoded(context.output.checkpoint, context.output.linear(linear).stored);
  const LinearDistance seen = distance(*original, decoded, extent, context.stop);
  // The first rows of a Linear may be small beside the others.
  if (extent == Extent::whole || seen.squared_other > 0 || seen.squared_weight == 0) return seen;
  return distance(*original, decoded, Extent::whole, context.stop);
}

// Whether its format cannot hold more of the Linear, most of which an outlier takes.
bool is_what_is_left(const VerifyContext& context, const LinearSpec& linear) {
  const std::optional<double> plain = plain_squared_error_of_source(context, linear);
  return plain && distance_from_source(context, linear, Extent::whole)->squared_error <= rounding_slack * *plain;
}

void judge(const VerifyContext& context, const LinearSpec& linear, const LinearDistance& distance, Findings& findings) {
  if (distance.squared_other == 0 && distance.squared_weight > 0) {
    const double elements = static_cast<double>(linear.out) * static_cast<double>(linear.in);
    const double rms = std::sqrt(distance.squared_weight / elements);
    findings.judge(rms > negligible_weight, linear.module,
                   "decodes to zero everywhere, the source does not (its root mean square is {:.3g})", rms);
  } else if (!(distance.relative() <= lost_share)) {
    const double factor = distance.squared_other > 0 ? distance.product / distance.squared_other : 0;
    const bool excused =
        std::isnan(distance.relative()) ? holds_codes_of_source(context, linear) : is_what_is_left(context, linear);
    findings.judge(
        !excused, linear.module,
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
    const std::optional<LinearDistance> distance =
        distance_from_source(context, linear, context.deep ? Extent::whole : Extent::glance);
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
