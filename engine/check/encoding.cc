#include "engine/check/encoding.h"

#include <algorithm>

#include "engine/plan/plain_encoding.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

struct DecodedLinear {
  std::vector<float> values;
  WeightView view;
};

std::optional<DecodedLinear> decode_source(const VerifyContext& context, const LinearSpec& linear) {
  const std::optional<LinearRows> rows = rows_of_source(context, linear);
  if (!rows) return std::nullopt;
  DecodedLinear decoded{.values = std::vector<float>(static_cast<std::size_t>(linear.out * linear.in))};
  rows->read(0, linear.out, decoded.values);
  decoded.view = {.data = decoded.values.data(), .rows = linear.out, .cols = linear.in};
  return decoded;
}

// Those that share its scales, itself the first.
std::vector<const LinearSpec*> served_with(const VerifyContext& context, const LinearSpec& linear) {
  std::vector<const LinearSpec*> group = {&linear};
  if (linear.fused_module.empty()) return group;
  for (const auto& layer : context.layers)
    for (const LinearSpec* const other : layer)
      if (other != &linear && other->fused_module == linear.fused_module) group.push_back(other);
  return group;
}

}  // namespace

std::optional<LinearRows> rows_of_source(const VerifyContext& context, const LinearSpec& linear) {
  const Shape shape = {linear.out, linear.in};
  const auto in_source = [&](std::string_view name) { return context.source->find(name); };
  // A head of its own, which the source stores as the embedding.
  const bool untied = context.source_spec && context.source_spec->tied && &linear == &context.output.spec->head;
  StoredLinear from = untied ? find_stored_linear(context.source_spec->head.module, shape, nullptr, {}, in_source)
                             : find_stored_linear(linear.module, shape, context.source_stored->format_of(linear.module),
                                                  context.source_native, in_source);
  const auto is_there = [&](const StoredPart& part) { return from.field(part.field.suffix) != nullptr; };
  if (!std::ranges::all_of(from.parts, is_there)) return std::nullopt;
  return LinearRows(*context.source, std::move(from));
}

std::optional<double> plain_squared_error_of_source(const VerifyContext& context, const LinearSpec& linear) {
  const NumberFormat* const format = context.format(linear);
  if (format == nullptr || format->source_only) return std::nullopt;
  std::vector<DecodedLinear> group;
  std::vector<WeightView> views;
  float largest = 0;
  for (const LinearSpec* const member : served_with(context, linear)) {
    std::optional<DecodedLinear> decoded = decode_source(context, *member);
    if (!decoded) return std::nullopt;
    if (!all_finite(decoded->view)) return std::nullopt;
    largest = std::max(largest, amax(decoded->values));
    group.push_back(*std::move(decoded));
    views.push_back(group.back().view);  // its values stay where they are when the group grows
  }
  try {
    return plain_squared_error(*format, views.front(), views, largest);
  } catch (const Error& refused) {
    if (refused.fault != Fault::input) throw;
    return std::nullopt;
  }
}

}  // namespace strata
