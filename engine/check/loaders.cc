// Which loaders take an output. Measured with transformers 5.15 to 5.23 and vLLM 0.32, and read in the sources of
// vLLM 0.28 to 0.31; docs/verify.md has the reasons.
#include <algorithm>

#include "engine/check/rules.h"
#include "engine/plan/vllm_model.h"
#include "profiles/layer_questions.h"
#include "profiles/profile.h"

namespace strata {
namespace {

std::string_view name_of(const NumberFormat* format) { return format == nullptr ? "not quantized" : format->name; }

// The format of each layer's experts, by the layer's prefix.
std::vector<std::pair<std::string, const NumberFormat*>> expert_formats(const VerifyContext& context) {
  std::vector<std::pair<std::string, const NumberFormat*>> formats;
  for (const LayerSpec& layer : context.output.spec->layers)
    if (const std::vector<const LinearSpec*> expert = first_expert(layer); !expert.empty())
      formats.emplace_back(layer.prefix, context.format(*expert.front()));
  return formats;
}

// The first Linear whose format the loader does not take at all.
template <typename Taken>
std::string refused_format(const VerifyContext& context, const Taken& taken) {
  std::string reason;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat* format) {
    if (reason.empty() && format != nullptr && !taken(*format))
      reason = fmt::format("no: no released version loads {} ({})", format->name, linear.module);
  });
  return reason;
}

// The cache alone is quantized.
bool has_empty_groups(const Config& config) {
  if (!config.has("quantization_config")) return false;
  const Config section = config.section("quantization_config");
  return section.has("config_groups") && section.section("config_groups").keys().empty();
}

// transformers goes by model_type alone, and takes the tensors that it does not find for new ones.
std::string other_model_type(const Config& config) {
  const Profile& profile = require_profile(config);
  std::string type = config.text_or("model_type", "");
  if (type.empty()) type = text_config(config).text_or("model_type", "");
  if (std::ranges::find(profile.model_types, type) != profile.model_types.end()) return {};
  return fmt::format("no: it goes by model_type, which is {}, not {}", type.empty() ? "missing" : type,
                     profile.model_types.front());
}

std::string transformers_verdict(const VerifyContext& context) {
  if (std::string no = other_model_type(context.output.checkpoint.config()); !no.empty()) return no;
  if (std::string no = refused_format(context, [](const NumberFormat& f) { return !f.serving.transformers.empty(); });
      !no.empty())
    return no;
  for (const LayerSpec& layer : context.output.spec->layers)
    if (const LinearSpec* router = router_of(layer); router != nullptr && context.format(*router) != nullptr)
      return fmt::format("no: {} is {}; it keeps routers dense and would lose them", router->module,
                         name_of(context.format(*router)));
  const auto experts = expert_formats(context);
  if (!experts.empty() && has_empty_groups(context.output.checkpoint.config()))
    return "no: config_groups is empty, and it looks for the scheme of the experts there (5.15)";
  for (const auto& [prefix, format] : experts) {
    if (format != experts.front().second)
      return fmt::format("no: experts of {} are {}, those of {} {}; it takes one scheme for all experts",
                         experts.front().first, name_of(experts.front().second), prefix, name_of(format));
    if (format == nullptr || format->serving.transformers_experts) continue;
    if (const std::string_view dropped = format->serving.transformers_drops; !dropped.empty())
      return fmt::format("no: it drops {} of {} experts without a word (5.15 to 5.23)", dropped, format->name);
    return fmt::format("no: it does not load experts in {} ({})", format->name, prefix);
  }
  return "yes";
}

// What older versions take a format for, where that is another one.
std::string other_before(const VerifyContext& context) {
  std::string said;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat* format) {
    if (said.empty() && format != nullptr && !format->vllm_before.empty())
      said = fmt::format(", but {} ({} in {})", format->vllm_before, format->name, linear.module);
  });
  return said;
}

std::string vllm_verdict(const VerifyContext& context) {
  if (const std::string why = vllm_model_refusal(context.output.checkpoint.config(), *context.output.spec);
      !why.empty())
    return "no: " + why;
  if (std::string no = refused_format(context, [](const NumberFormat& f) { return !f.serving.vllm.empty(); });
      !no.empty())
    return no;
  for (const auto& [prefix, format] : expert_formats(context))
    if (format != nullptr && !format->serving.vllm_experts)
      return fmt::format("no: it does not serve experts in {} ({})", format->name, prefix);
  const ModelSpec& spec = *context.output.spec;
  const NumberFormat* const head = spec.tied ? nullptr : context.format(spec.head);
  if (head != nullptr && head->serving.vllm_head_instead != nullptr)
    return fmt::format("no: {} is {}; it does not load a head in that format (0.28 to 0.32)", spec.head.module,
                       head->name);
  return "yes" + other_before(context);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> loader_facts(const VerifyContext& context,
                                                              const VerifyReport& report) {
  const auto stops = [](const VerifyFinding& failure) {
    const auto rule = std::ranges::find(verify_rules(), failure.rule, &VerifyRule::name);
    return rule == verify_rules().end() || rule->stops_loaders;
  };
  if (const auto count = std::ranges::count_if(report.failures, stops); count > 0) {
    const std::string no = fmt::format("no: {} failures", count);
    return {{"vLLM", no}, {"transformers", no}};
  }
  if (!context.native.empty()) {
    const auto& [module, storage] = *context.native.begin();
    const std::string no = fmt::format("not judged: {} Linears are stored as {}, not by compressed-tensors",
                                       context.native.size(), storage);
    return {{"vLLM", no}, {"transformers", no}};
  }
  return {{"vLLM", vllm_verdict(context)}, {"transformers", transformers_verdict(context)}};
}

}  // namespace strata
