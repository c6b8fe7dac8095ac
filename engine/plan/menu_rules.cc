#include "engine/plan/menu_rules.h"

#include "base/error.h"
#include "profiles/layer_questions.h"

namespace strata {

ServedUnits::ServedUnits(const OpenModel& model, const MenuRules& rules)
    : rules_(rules),
      parallel_(*model.spec),
      head_(model.spec->tied ? nullptr : &model.spec->head),
      experts_(model.linears.size(), 0) {
  for (const LayerSpec& layer : model.spec->layers)
    for (const LinearSpec* linear : expert_linears(layer)) experts_.at(linear->index) = 1;
}

std::optional<std::string> ServedUnits::refusal(const std::vector<const LinearSpec*>& unit, const NumberFormat& format,
                                                int devices) const {
  if (auto why = not_loaded(*unit.front(), format)) return why;
  for (const LinearSpec* linear : unit)
    if (auto why = parallel_.refusal(*linear, &format, devices))
      return linear == unit.front() ? *why : fmt::format("{}: {}", linear->module, *why);
  return std::nullopt;
}

std::optional<std::string> ServedUnits::not_loaded(const LinearSpec& first, const NumberFormat& format) const {
  if (!format.quantizes() || rules_.any_runtime) return std::nullopt;
  const bool vllm = rules_.runtime == Runtime::vllm, experts = experts_.at(first.index) != 0;
  const Serving& serving = format.serving;
  const char* const name = vllm ? "vLLM" : "transformers";
  if ((vllm ? serving.vllm : serving.transformers).empty()) return fmt::format("{} does not load it", name);
  if (experts && !(vllm ? serving.vllm_experts : serving.transformers_experts))
    return fmt::format("{} does not load experts in it", name);
  if (vllm && &first == head_ && serving.vllm_head_instead != nullptr) return "vLLM does not load a head in it";
  return std::nullopt;
}

}  // namespace strata
