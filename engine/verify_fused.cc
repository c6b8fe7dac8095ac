// Rules about Linears that a server runs together: q/k/v, gate/up, the experts of a layer.
#include <bit>
#include <map>

#include "engine/verify_rules.h"

namespace strata::rule {
namespace {

using Group = std::vector<const LinearSpec*>;

// Linears with the same non-empty key, layer by layer.
std::vector<std::pair<std::string, Group>> groups_by(const VerifyContext& context, std::string LinearSpec::*key) {
  std::vector<std::pair<std::string, Group>> all;
  for (const auto& layer : context.layers) {
    std::map<std::string, Group> groups;
    for (const LinearSpec* linear : layer)
      if (!((*linear).*key).empty()) groups[(*linear).*key].push_back(linear);
    for (auto& [name, group] : groups) all.emplace_back(name, std::move(group));
  }
  return all;
}

std::string_view format_name(const NumberFormat* format) { return format == nullptr ? "not quantized" : format->name; }

void require_one_format(const VerifyContext& context, const std::string& subject, const Group& group,
                        Findings& findings) {
  for (const LinearSpec* linear : group) {
    const NumberFormat* const first = context.format(*group.front());
    const NumberFormat* const format = context.format(*linear);
    if (format == first) continue;
    findings.add(subject, "{} is {}, but {} is {}; a server runs them as one matrix", group.front()->module,
                 format_name(first), linear->module, format_name(format));
    return;
  }
}

// The scale is a constant of the kernel that runs the whole group: bit for bit one value.
void require_one_scale(const VerifyContext& context, const Group& group, std::string_view suffix, Findings& findings) {
  const LinearSpec* first = nullptr;
  float expected = 0;
  for (const LinearSpec* linear : group) {
    const std::optional<float> value = context.scalar(*linear, suffix);
    if (!value) continue;
    if (first == nullptr) {
      first = linear;
      expected = *value;
    } else if (std::bit_cast<std::uint32_t>(*value) != std::bit_cast<std::uint32_t>(expected)) {
      findings.add(fmt::format("{}.{}", linear->module, suffix),
                   "is {:.9g}, but that of {} is {:.9g}; they must be equal", *value, first->module, expected);
      return;
    }
  }
}

}  // namespace

void fused_format(const VerifyContext& context, Findings& findings) {
  for (const auto& [name, group] : groups_by(context, &LinearSpec::fused_module))
    require_one_format(context, name, group, findings);
}

void fused_scale(const VerifyContext& context, Findings& findings) {
  for (const auto& [name, group] : groups_by(context, &LinearSpec::fused_module))
    require_one_scale(context, group, "weight_global_scale", findings);
}

void input_scale(const VerifyContext& context, Findings& findings) {
  for (const auto& [name, group] : groups_by(context, &LinearSpec::input)) {
    require_one_scale(context, group, "input_global_scale", findings);
    require_one_scale(context, group, "input_scale", findings);
  }
}

// vLLM gives the experts of a layer one scheme, and refuses the model when they differ.
void expert_format(const VerifyContext& context, Findings& findings) {
  for (const LayerSpec& layer : context.output.spec.layers) {
    const MoeSpec* const moe = layer.moe();
    if (moe == nullptr) continue;
    Group group;
    for (const GatedMlpSpec& expert : moe->experts)
      for (const LinearSpec* linear : {&expert.gate, &expert.up, &expert.down}) group.push_back(linear);
    if (!group.empty()) require_one_format(context, layer.prefix, group, findings);
  }
}

}  // namespace strata::rule
