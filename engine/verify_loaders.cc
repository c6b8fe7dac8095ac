// Which loaders take an output. Measured with transformers 5.15 to 5.23 and read in vLLM's sources;
// docs/checkpoints.md has the reasons.
#include "engine/verify_rules.h"

namespace strata {
namespace {

std::string_view name_of(const NumberFormat* format) { return format == nullptr ? "not quantized" : format->name; }

// The format of each layer's experts, by the layer's prefix.
std::vector<std::pair<std::string, const NumberFormat*>> expert_formats(const VerifyContext& context) {
  std::vector<std::pair<std::string, const NumberFormat*>> formats;
  for (const LayerSpec& layer : context.output.spec.layers)
    if (const MoeSpec* moe = layer.moe(); moe != nullptr && !moe->experts.empty())
      formats.emplace_back(layer.prefix, context.format(moe->experts.front().gate));
  return formats;
}

std::string transformers_verdict(const VerifyContext& context) {
  for (const LayerSpec& layer : context.output.spec.layers)
    if (const MoeSpec* moe = layer.moe(); moe != nullptr && context.format(moe->router) != nullptr)
      return fmt::format("no: {} is {}; it keeps routers dense and would lose them", moe->router.module,
                         name_of(context.format(moe->router)));
  const auto experts = expert_formats(context);
  for (const auto& [prefix, format] : experts) {
    if (format != experts.front().second)
      return fmt::format("no: experts of {} are {}, those of {} {}; it takes one scheme for all experts",
                         experts.front().first, name_of(experts.front().second), prefix, name_of(format));
    if (format != nullptr && format->name.starts_with("NVFP4"))
      return fmt::format("no: it drops weight_global_scale of {} experts without a word (5.15 to 5.23)", format->name);
  }
  return "yes";
}

std::string vllm_verdict(const VerifyContext& context) {
  const ModelSpec& spec = context.output.spec;
  const NumberFormat* const head = spec.tied ? nullptr : context.format(spec.head);
  if (head != nullptr && head->name.starts_with("NVFP4"))
    return fmt::format("no: {} is {}; it serves a head in FP8_DYNAMIC or W4A16 at most", spec.head.module, head->name);
  return "yes";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> loader_facts(const VerifyContext& context,
                                                              const VerifyReport& report) {
  if (!report.failures.empty()) {
    const std::string no = fmt::format("no: {} failures", report.failures.size());
    return {{"vLLM", no}, {"transformers", no}};
  }
  return {{"vLLM", vllm_verdict(context)}, {"transformers", transformers_verdict(context)}};
}

}  // namespace strata
