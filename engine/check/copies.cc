// The rule `copied-codes`: what an output holds in the codes of its source has the very bytes, and what it
// decoded to BF16 has the values.
#include "engine/plan/copies.h"

#include <algorithm>

#include "engine/check/rules.h"
#include "engine/plan/assignment.h"
#include "formats/weight/weights.h"

namespace strata::rule {
namespace {

std::vector<std::byte> read_all(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  checkpoint.read(tensor, bytes);
  return bytes;
}

// Whether the output has the tensor at all, as planned.
const TensorInfo* find_tensor(const VerifyContext& context, const TensorInfo& planned, Findings& findings) {
  const TensorInfo* const found = context.output.checkpoint.find(planned.name);
  if (found == nullptr)
    findings.add(planned.name, "is missing; the source's codes need it");
  else if (found->dtype != planned.dtype || found->shape != planned.shape)
    findings.add(planned.name, "is {} {}, a copy of the source's codes has {} {}", dtype_name(found->dtype),
                 shape_text(found->shape), dtype_name(planned.dtype), shape_text(planned.shape));
  else
    return found;
  return nullptr;
}

void report_difference(const TensorInfo& tensor, std::span<const std::byte> is, std::span<const std::byte> expected,
                       std::string_view what, Findings& findings) {
  const auto [here, there] = std::ranges::mismatch(is, expected);
  if (here == is.end()) return;
  findings.add(tensor.name, "byte {} is 0x{:02x}, {} 0x{:02x}", here - is.begin(), std::to_integer<int>(*here), what,
               std::to_integer<int>(*there));
}

void compare_copy(const VerifyContext& context, const StoredLinear& stored, const NumberFormat& format,
                  Findings& findings) {
  for (const CopiedField& copied : copied_fields(stored, format)) {
    check_interrupt(context.stop);
    const std::string from = stored.module + "." + copied.from;
    const TensorInfo planned{
        .name = stored.module + "." + copied.field.suffix, .dtype = copied.field.dtype, .shape = copied.field.shape};
    const TensorInfo* const tensor = find_tensor(context, planned, findings);
    if (tensor == nullptr) continue;
    std::vector<std::byte> expected(tensor->bytes);
    copy_field(stored, copied, read_all(*context.source, context.source->at(from)), expected);
    report_difference(*tensor, read_all(context.output.checkpoint, *tensor), expected,
                      fmt::format("{} of the source gives", from), findings);
  }
}

void compare_decoded(const VerifyContext& context, const StoredLinear& stored, Findings& findings) {
  check_interrupt(context.stop);
  const TensorInfo planned{.name = stored.module + ".weight", .dtype = Dtype::bf16, .shape = stored.weight};
  const TensorInfo* const tensor = find_tensor(context, planned, findings);
  if (tensor == nullptr) return;
  std::vector<std::vector<std::byte>> parts;
  for (const Field& field : stored.fields)
    parts.push_back(read_all(*context.source, context.source->at(stored.module + "." + field.suffix)));
  const std::vector<std::span<const std::byte>> views(parts.begin(), parts.end());
  std::vector<float> values(element_count(stored.weight).value());
  decode_stored(stored, views, values);
  std::vector<std::byte> expected(tensor->bytes);
  to_bf16(values, expected);
  report_difference(*tensor, read_all(context.output.checkpoint, *tensor), expected,
                    "the source, decoded and rounded, has", findings);
}

}  // namespace

void copied_codes(const VerifyContext& context, Findings& findings) {
  const OpenModel source = open_model(context.source->directory());
  Copies copies(source);
  int copied = 0;
  for (const Visit& visit : source.visits)
    for (const auto& unit : format_units(visit)) {
      const NumberFormat* const format = context.output.stored_format(unit[0]->module);
      const UnitCopy copy = copies.of(unit, format != nullptr ? *format : kept_format());
      const bool same = format != nullptr && copy.format != nullptr && stores_same(*format, *copy.format);
      for (const LinearSpec* linear : unit) {
        const StoredLinear& stored = source.linear(*linear).stored;
        if (context.native.contains(linear->module)) continue;
        if (stored.dense() || (format != nullptr && !same)) continue;
        if (same)
          compare_copy(context, stored, *copy.format, findings);
        else
          compare_decoded(context, stored, findings);
        copied += same ? 1 : 0;
      }
    }
  if (copied > 0) findings.fact("in the codes of the source", fmt::format("{} Linears", copied));
}

}  // namespace strata::rule
