// Rules about Linears that a server runs together: q/k/v, gate/up, the experts of a layer.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "engine/check/rules.h"
#include "profiles/layer_questions.h"

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

// Two Linears of a group whose scales are further apart than may be.
struct Odd {
  const LinearSpec *one, *other;
  float value, expected;
};

std::optional<Odd> find_odd(const VerifyContext& context, const Group& group, std::string_view suffix, double most) {
  const LinearSpec* first = nullptr;
  float expected = 0;
  for (const LinearSpec* linear : group) {
    const std::optional<float> value = context.scalar(*linear, suffix);
    if (!value) continue;
    if (first == nullptr) {
      first = linear;
      expected = *value;
      continue;
    }
    const bool same = std::bit_cast<std::uint32_t>(*value) == std::bit_cast<std::uint32_t>(expected);
    const double apart = std::abs(static_cast<double>(*value) - static_cast<double>(expected));
    if (!same && !(most > 0 && apart <= most)) return Odd{linear, first, *value, expected};
  }
  return std::nullopt;
}

bool is_expert(const VerifyContext& context, const LinearSpec& linear) {
  for (const LayerSpec& layer : context.output.spec->layers) {
    if (!linear.module.starts_with(layer.prefix + ".")) continue;
    const std::vector<const LinearSpec*> experts = expert_linears(layer);
    if (std::ranges::find(experts, &linear) != experts.end()) return true;
  }
  return false;
}

std::string odd_text(const Odd& odd) {
  return fmt::format("is {:.9g}, but that of {} is {:.9g}", odd.value, odd.other->module, odd.expected);
}

}  // namespace

void fused_format(const VerifyContext& context, Findings& findings) {
  for (const auto& [name, group] : groups_by(context, &LinearSpec::fused_module))
    require_one_format(context, name, group, findings);
}

// One constant of the kernel that runs the whole group: bit for bit one value. The scale of an FP8 tensor is one
// too, but vLLM requantizes to the largest where they differ.
void fused_scale(const VerifyContext& context, Findings& findings) {
  for (const auto& [name, group] : groups_by(context, &LinearSpec::fused_module)) {
    if (const auto odd = find_odd(context, group, "weight_global_scale", 0))
      findings.add(odd->one->module + ".weight_global_scale", "{}; they must be equal", odd_text(*odd));
    const Field per_tensor{"weight_scale", Dtype::f32, {1}};
    if (context.field(*group.front(), per_tensor) == nullptr) continue;
    if (const auto odd = find_odd(context, group, "weight_scale", 0))
      findings.note(odd->one->module + ".weight_scale",
                    "{}; vLLM requantizes both to the larger one, its weights are not those of this file",
                    odd_text(*odd));
  }
}

// Linears that are one matrix share the scale of their input: of a global scale vLLM takes the largest, and
// input_scale of gate and up may differ by 1e-5. All experts see one input too; not every tool makes use of that.
void input_scale(const VerifyContext& context, Findings& findings) {
  static constexpr std::pair<std::string_view, double> scales[] = {{"input_global_scale", 0}, {"input_scale", 1e-5}};
  for (const auto& [suffix, most] : scales) {
    std::unordered_set<std::string> told;
    for (const auto& [name, group] : groups_by(context, &LinearSpec::fused_module))
      if (const auto odd = find_odd(context, group, suffix, most)) {
        findings.add(fmt::format("{}.{}", odd->one->module, suffix), "{}; they must be equal", odd_text(*odd));
        told.insert(group.front()->input);
      }
    for (const auto& [name, group] : groups_by(context, &LinearSpec::input)) {
      if (told.contains(name)) continue;
      const auto odd = find_odd(context, group, suffix, most);
      if (!odd) continue;
      const std::string subject = fmt::format("{}.{}", odd->one->module, suffix);
      if (is_expert(context, *odd->one))
        findings.note(subject, "{}; kernels that take one for all experts would clip inputs", odd_text(*odd));
      else
        findings.add(subject, "{}; they see the same input", odd_text(*odd));
    }
  }
}

// vLLM gives the experts of a layer one scheme, and refuses the model when they differ.
void expert_format(const VerifyContext& context, Findings& findings) {
  for (const LayerSpec& layer : context.output.spec->layers) {
    const Group group = expert_linears(layer);
    if (!group.empty()) require_one_format(context, layer.prefix, group, findings);
  }
}

}  // namespace strata::rule
