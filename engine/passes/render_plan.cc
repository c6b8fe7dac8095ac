#include "engine/passes/render_plan.h"

#include <algorithm>

#include "base/bytes.h"
#include "cache/fingerprint.h"
#include "engine/graph/facts.h"
#include "engine/graph/graph.h"
#include "engine/passes/render_store.h"
#include "engine/plan/copies.h"
#include "engine/plan/output_plan.h"
#include "engine/rounding/rounding.h"
#include "engine/work/format_keys.h"

namespace strata {
namespace {

const RoundingMethod& method_of(const PassQuestion& question) {
  return require_rounding_method(question.request.rounding.method_name());
}

std::uint64_t encoded_bytes(const PassQuestion& question, const Part& part) {
  if (question.assignment != nullptr) return render_bytes(question.model, *question.assignment, part.linears);
  std::uint64_t total = 0;  // no format takes more than BF16
  for (const LinearSpec* linear : part.linears)
    total += align_up(static_cast<std::uint64_t>(linear->out * linear->in) * 2 + 4096, render_alignment);
  return total;
}

// What one thread decodes at most, as float32: a Linear to measure the error of its encoding, and before that
// everything that is encoded with it, where the source is not dense.
std::uint64_t decoded_bytes(const PassQuestion& question, const Part& part, bool with_sources) {
  std::uint64_t largest = 0, largest_group = 0;
  for (const auto& group : fused_groups(part.linears)) {
    std::uint64_t sources = 0;
    for (const LinearSpec* linear : group) {
      if (question.assignment != nullptr && question.assignment->copies(*linear)) continue;
      const std::uint64_t bytes = static_cast<std::uint64_t>(linear->out * linear->in) * sizeof(float);
      largest = std::max(largest, bytes);
      if (with_sources && !question.model.linear(*linear).stored.dense()) sources += align_up(bytes, render_alignment);
    }
    largest_group = std::max(largest_group, sources);
  }
  return largest + largest_group;
}

std::uint64_t all_decoded(const PassQuestion& question, const Part& part) {
  return decoded_bytes(question, part, true);
}

// A pass of the sweep has decoded the sources already.
std::uint64_t results_decoded(const PassQuestion& question, const Part& part) {
  return decoded_bytes(question, part, part.kind == Part::Kind::head);  // but for the head
}

// What one thread needs to round the largest group.
std::uint64_t scratch_bytes(const PassQuestion& question, const Part& part) {
  const RoundingMethod& method = method_of(question);
  std::uint64_t largest = 0;
  if (method.scratch == nullptr || question.assignment == nullptr) return largest;
  for (const auto& group : fused_groups(part.linears)) {
    std::vector<WeightView> shapes;
    for (const LinearSpec* linear : group)
      if (!question.assignment->copies(*linear)) shapes.push_back({.rows = linear->out, .cols = linear->in});
    if (!shapes.empty()) largest = std::max(largest, method.scratch(question.assignment->of(*group.front()), shapes));
  }
  return largest;
}

}  // namespace

std::uint64_t render_bytes(const OpenModel& model, const Assignment& assignment,
                           std::span<const LinearSpec* const> linears) {
  std::uint64_t total = 0;
  for (const LinearSpec* linear : linears) {
    const LinearPlan& plan = model.linear(*linear);
    if (!assignment.copies(*linear)) {
      for (const Field& field : written_fields(plan, assignment))
        total += align_up(field_bytes(field), render_alignment);
      continue;
    }
    if (!assignment.copies_codes(*linear)) continue;
    for (const CopiedField& copied : copied_fields(plan.stored, assignment.of(*linear)))
      if (copied.step != CopyStep::bytes) total += align_up(field_bytes(copied.field), render_alignment);
  }
  return total;
}

Collect render_collects(const PassQuestion& question, const LinearPlan& linear) {
  const Collect asked = method_of(question).wants;
  if (question.assignment == nullptr) return Collect::amax | asked;
  const NumberFormat& format = question.assignment->of(*linear.spec);
  Collect wanted = Collect::nothing;
  if (question.assignment->copies_codes(*linear.spec)) return wanted;
  if (format.calibrated_input) wanted |= Collect::amax;
  if (format.quantizes() && !question.request.rounding.parity) wanted |= asked;
  return wanted;
}

void render_key(const KeyQuestion& question, Fingerprint& print) {
  const Assignment& assignment = *question.pass.assignment;
  print.add("formats", formats_key(assignment, question.visit));
  if (!question.pass.request.mixed.from.empty())
    print.add("--from", stored_identity(question.pass,
                                        static_cast<std::size_t>(&question.visit - question.pass.model.visits.data())));
  print.add("method", method_key(method_of(question.pass), assignment.rule));
}

void render_cost(const CostQuestion& question, CostSheet& sheet) {
  sheet.add(Resource::host, "renders",
            static_cast<std::uint64_t>(question.cut.renders) * question.sizes.largest(encoded_bytes));
  sheet.add(Resource::host, "decoded",
            static_cast<std::uint64_t>(question.cut.threads) *
                question.sizes.largest(question.sweep.writes(facts::weights) ? results_decoded : all_decoded));
  sheet.add(Resource::host, "rounding",
            static_cast<std::uint64_t>(question.cut.threads) * question.sizes.largest(scratch_bytes));
}

}  // namespace strata
