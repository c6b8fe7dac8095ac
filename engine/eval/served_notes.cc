#include "engine/eval/served_notes.h"

#include <fmt/format.h>

#include <algorithm>

#include "profiles/layer_questions.h"

namespace strata {
namespace {

// A format of the model, and how many Linears and experts' layers are stored in it.
struct Use {
  const NumberFormat* format;
  int linears = 0, expert_layers = 0;
};

Use& use_of(std::vector<Use>& uses, const NumberFormat* format) {
  const auto found = std::ranges::find(uses, format, &Use::format);
  return found != uses.end() ? *found : uses.emplace_back(Use{format});
}

std::vector<Use> uses_of(const OpenModel& model) {
  std::vector<Use> uses;
  for (const Visit& visit : model.visits)
    for (const LinearSpec* const linear : visit.linears)
      if (const NumberFormat* const format = model.stored_format(linear->module); format != nullptr)
        ++use_of(uses, format).linears;
  for (const LayerSpec& layer : model.spec->layers)
    if (const std::vector<const LinearSpec*> expert = first_expert(layer); !expert.empty())
      if (const NumberFormat* const format = model.stored_format(expert.front()->module); format != nullptr)
        ++use_of(uses, format).expert_layers;
  return uses;
}

std::string note(const Use& use, Runtime runtime) {
  const bool vllm = runtime == Runtime::vllm;
  const char* const name = vllm ? "vLLM" : "transformers";
  const Serving& serving = use.format->serving;
  if ((vllm ? serving.vllm : serving.transformers).empty())
    return fmt::format("no released {} loads it: simulated with {}, as if one did", name,
                       use.format->quantize_input == nullptr ? "inputs left alone" : "the inputs of its config");
  if (use.expert_layers > 0 && !(vllm ? serving.vllm_experts : serving.transformers_experts))
    return fmt::format(
        "{} does not load experts in that format, or loads them wrong: those of {} layers are simulated "
        "as if it loaded them right",
        name, use.expert_layers);
  if (vllm && use.format->quantize_input == nullptr && use.format->vllm_quantize_input != nullptr)
    return fmt::format(
        "the inputs of {} Linears are quantized although the config says 16 bits, as vLLM does on SM100 and newer; "
        "older GPUs leave them alone, which is what `weights only` and --activations none compute",
        use.linears);
  return "";
}

}  // namespace

void note_served(const OpenModel& model, ActivationMode activations, Reporter& reporter) {
  if (activations == ActivationMode::none) return;
  const Runtime runtime = activations == ActivationMode::vllm ? Runtime::vllm : Runtime::transformers;
  for (const Use& use : uses_of(model))
    if (const std::string text = note(use, runtime); !text.empty())
      reporter.decision(std::string(use.format->name), text);
}

}  // namespace strata
