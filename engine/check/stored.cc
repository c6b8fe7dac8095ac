// Rules about config.json against what is on disk: is each Linear stored as its group says?
#include "engine/check/stored.h"

#include <algorithm>

#include "profiles/claims.h"

namespace strata {

const Field& code_field(const std::vector<Field>& fields) {
  const auto found = std::ranges::find_if(
      fields, [](const Field& field) { return field.suffix == "weight" || field.suffix == "weight_packed"; });
  if (found == fields.end()) fail(Fault::bug, "a number format has no field weight or weight_packed");
  return *found;
}

std::string stored_otherwise(const VerifyContext& context, const LinearSpec& linear) {
  const NumberFormat* const format = context.format(linear);
  const TensorInfo* const packed = context.tensor(linear, "weight_packed");
  const TensorInfo* const plain = context.tensor(linear, "weight");
  if (context.native.contains(linear.module)) return {};
  if (format == nullptr) {
    if (plain == nullptr && packed != nullptr)
      return fmt::format("config.json leaves it dense, but it is stored as {} weight_packed",
                         dtype_name(packed->dtype));
    if (plain != nullptr && !is_plain_float(plain->dtype))
      return fmt::format("config.json leaves it dense, but its weight is stored as {}", dtype_name(plain->dtype));
    return {};
  }
  const Field code = code_field(context.fields_of(linear));
  const TensorInfo* const expected = code.suffix == "weight" ? plain : packed;
  const TensorInfo* const found = expected != nullptr ? expected : code.suffix == "weight" ? packed : plain;
  if (found == nullptr || (found == expected && found->dtype == code.dtype)) return {};
  return fmt::format("config.json says {}, which stores {} {}, but it is stored as {} {}", format->name,
                     dtype_name(code.dtype), code.suffix, dtype_name(found->dtype),
                     found == packed ? "weight_packed" : "weight");
}

bool is_misfit(const VerifyContext& context, const LinearSpec& linear) {
  const NumberFormat* const format = context.format(linear);
  if (format != nullptr && format->refusal({linear.out, linear.in})) return true;
  return !stored_otherwise(context, linear).empty();
}

namespace rule {

void stored_format(const VerifyContext& context, Findings& findings) {
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat*) {
    if (const std::string reason = stored_otherwise(context, linear); !reason.empty())
      findings.add(linear.module, "{}", reason);
  });
}

void divisibility(const VerifyContext& context, Findings& findings) {
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat* format) {
    const Shape shape = {linear.out, linear.in};
    if (format == nullptr) return;
    if (const auto refusal = format->refusal(shape))
      findings.add(linear.module, "{} cannot store {}: {}", format->name, shape_text(shape), *refusal);
  });
}

namespace {

// What another rule says better: fields that are there in another type or shape, Linears stored in another
// format, scales of the cache.
bool is_told_elsewhere(const VerifyContext& context, const std::string& name) {
  if (context.fields.contains(name) && context.output.checkpoint.find(name) != nullptr) return true;
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return false;
  return context.misfits.contains(name.substr(0, dot)) || name.ends_with(".self_attn.k_scale") ||
         name.ends_with(".self_attn.v_scale");
}

}  // namespace

void claims(const VerifyContext& context, Findings& findings) {
  const OpenModel& output = context.output;
  const StorageRules rules{.format = [&](std::string_view module) { return output.stored_format(module); },
                           .native = output.native};
  for (const ClaimProblem& problem : claim_tensors(*output.spec, output.checkpoint, rules).problems)
    if (!is_told_elsewhere(context, problem.tensor)) findings.add(problem.tensor, "{}", problem.what);
}

}  // namespace rule
}  // namespace strata
