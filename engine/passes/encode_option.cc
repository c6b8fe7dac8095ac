#include "engine/passes/encode_option.h"

#include <algorithm>

#include "engine/model/layer_weights.h"
#include "engine/passes/encode_group.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

namespace strata {

std::uint64_t OptionFields::bytes() const {
  std::uint64_t total = 0;
  for (const std::vector<Field>& member : fields)
    for (const Field& field : member) total += field_bytes(field);
  return total;
}

void OptionFields::place(std::span<std::byte>& room) {
  for (const std::vector<Field>& member : fields) {
    std::vector<std::span<std::byte>>& mine = out.emplace_back();
    for (const Field& field : member) {
      mine.push_back(room.first(field_bytes(field)));
      room = room.subspan(field_bytes(field));
    }
  }
}

WeightView menu_weight(const Desk& desk, const LinearSpec& linear) {
  const LinearPlan& plan = desk.model().linear(linear);
  WeightView weight{.dtype = plan.stored.weight_dtype(), .rows = linear.out, .cols = linear.in};
  weight.data = plan.stored.dense()
                    ? static_cast<const void*>(desk.get(facts::source).bytes.bytes(plan.piece(0)).data())
                    : desk.get(facts::weights).values(linear).data();
  return weight;
}

OptionFields option_fields(const Desk& desk, std::span<const LinearSpec* const> group, const NumberFormat& format,
                           ScaleRule rule) {
  OptionFields all;
  for (const LinearSpec* linear : group)
    all.fields.push_back(
        format.fields({linear->out, linear->in}, desk.model().linear(*linear).stored.weight_dtype(), rule));
  return all;
}

void encode_option(const Desk& desk, const Moments& moments, std::span<const LinearSpec* const> group,
                   const OptionEncoding& how, const OptionFields& where, LeasedBuffer& scratch) {
  EncodeContext context{.rule = how.rule, .input_amax = how.input_amax};
  std::vector<WeightView> weights;
  for (const LinearSpec* linear : group) {
    weights.push_back(menu_weight(desk, *linear));
    context.fused_amax = std::max(context.fused_amax, finite_amax(desk.visit(), *linear, weights.back()));
  }
  std::vector<float> columns;
  if (has(desk.collects(*group.front()), Collect::squares)) columns = moments.column_weight(*group.front());
  context.column_weight = columns;
  if (how.format.shared_scale != nullptr) context.shared_scale = how.format.shared_scale(weights, context);
  std::vector<GroupMember> members;
  for (std::size_t i = 0; i < group.size(); ++i)
    members.push_back({.module = group[i]->module, .weight = weights[i], .out = where.out[i]});
  encode_group(desk.visit(), *group.front(), how.method, how.format, context, members, scratch);
}

}  // namespace strata
