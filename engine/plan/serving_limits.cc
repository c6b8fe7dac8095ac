#include "engine/plan/serving_limits.h"

#include <algorithm>

#include "base/error.h"
#include "engine/plan/vllm_model.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

// Where each format is used, in the order of the model.
struct Use {
  const NumberFormat* format;
  std::string first;  // a module, or a layer for experts
  int count = 0;
};

void count_use(std::vector<Use>& uses, const NumberFormat& format, const std::string& where) {
  auto found = std::ranges::find(uses, &format, &Use::format);
  if (found == uses.end()) found = uses.insert(uses.end(), {&format, where, 0});
  ++found->count;
}

std::vector<Use> uses_of(const OpenModel& model, const Assignment& assignment) {
  std::vector<Use> uses;
  for (const Visit& visit : model.visits)
    for (const LinearSpec* const linear : visit.linears) count_use(uses, assignment.of(*linear), linear->module);
  return uses;
}

void check_servable(const OpenModel& model, bool allowed, Assignment& assignment) {
  for (const Use& use : uses_of(model, assignment)) {
    if (!use.format->quantizes()) continue;
    if (use.format->serving.vllm.empty()) assignment.vllm_loads = false;
    if (use.format->serving.any()) continue;
    if (!allowed)
      fail(Fault::usage,
           "{}: would be {} ({}), which no released runtime loads; `strata formats` says what is served, "
           "--allow-unservable writes it all the same",
           use.first, use.format->name, use.format->summary);
    assignment.decisions.emplace_back(
        use.format->name,
        fmt::format("written for {} Linears as allowed, though no released runtime loads it", use.count));
  }
}

// What is in the way whatever the formats are.
void note_model(const OpenModel& model, Assignment& assignment) {
  const std::string refusal = vllm_model_refusal(model.checkpoint.config(), *model.spec);
  if (refusal.empty()) return;
  assignment.vllm_loads = false;
  assignment.decisions.emplace_back("vLLM", "does not serve the output: " + refusal);
}

// Where what vLLM computes depends on its version or on the hardware in a way that the name does not say.
void note_vllm_schemes(const OpenModel& model, Assignment& assignment) {
  for (const Use& use : uses_of(model, assignment)) {
    const NumberFormat& format = *use.format;
    if (!format.vllm_before.empty())
      assignment.decisions.emplace_back(
          format.name, fmt::format("is for newer vLLM: {} ({} Linears)", format.vllm_before, use.count));
    if (const NumberFormat* const same = format.serving.vllm_same_as)
      assignment.decisions.emplace_back(
          format.name, fmt::format("says 16-bit inputs, but vLLM has one scheme for it and {}: on SM100 and newer it "
                                   "quantizes the inputs of its {} Linears",
                                   same->name, use.count));
  }
}

void note_head(const OpenModel& model, Assignment& assignment) {
  const LinearSpec& head = model.spec->head;
  if (model.spec->tied) return;
  const NumberFormat& format = assignment.of(head);
  const NumberFormat* const instead = format.serving.vllm_head_instead;
  if (!format.quantizes() || format.serving.vllm.empty() || instead == nullptr) return;
  assignment.vllm_loads = false;
  assignment.decisions.emplace_back(
      head.module, fmt::format("is {} as asked, but vLLM does not load a head in that format; {} is one that it does",
                               format.name, instead->name));
}

void note_router(const LinearSpec& router, Assignment& assignment) {
  const NumberFormat& format = assignment.of(router);
  if (!format.quantizes()) return;
  assignment.decisions.emplace_back(
      router.module,
      fmt::format("is {} as asked, but transformers keeps routers dense and cannot load it", format.name));
}

// One entry for all dense formats, and one for all that a loader cannot tell apart.
std::vector<Use> expert_uses(const OpenModel& model, const Assignment& assignment) {
  std::vector<Use> uses;
  for (const LayerSpec& layer : model.spec->layers) {
    const std::vector<const LinearSpec*> expert = first_expert(layer);
    if (expert.empty()) continue;
    const NumberFormat* format = &assignment.of(*expert.front());
    for (const Use& use : uses)
      if (use.format->scheme == format->scheme) format = use.format;
    count_use(uses, *format, layer.prefix);
  }
  return uses;
}

// Experts of a layer that do not share a format.
void note_mixed_experts(const OpenModel& model, Assignment& assignment) {
  if (!assignment.per_expert) return;
  std::string first;
  int layers = 0;
  for (const LayerSpec& layer : model.spec->layers) {
    const std::vector<const LinearSpec*> experts = expert_linears(layer);
    const bool mixed = std::ranges::any_of(
        experts, [&](const LinearSpec* linear) { return &assignment.of(*linear) != &assignment.of(*experts.front()); });
    if (mixed && layers++ == 0) first = layer.prefix;
  }
  if (layers == 0) return;
  assignment.vllm_loads = false;
  assignment.decisions.emplace_back(
      first, fmt::format("experts of {} layers have several formats within the layer as allowed, which no released "
                         "runtime loads",
                         layers));
}

void note_experts(const OpenModel& model, Assignment& assignment) {
  const std::vector<Use> uses = expert_uses(model, assignment);
  std::string mix;
  for (const Use& use : uses) {
    mix += fmt::format("{}{} in {} layers (first {})", mix.empty() ? "" : ", ", use.format->name, use.count, use.first);
    const Serving& serving = use.format->serving;
    if (!use.format->quantizes() || !serving.any() || (serving.vllm_experts && serving.transformers_experts)) continue;
    if (!serving.vllm_experts) assignment.vllm_loads = false;
    assignment.decisions.emplace_back(
        use.first,
        fmt::format(
            "its experts are {} as asked, but {} not load experts in that format, or loads them wrong: docs/formats.md",
            use.format->name,
            serving.vllm_experts           ? "transformers does"
            : serving.transformers_experts ? "vLLM does"
                                           : "vLLM and transformers do"));
  }
  if (uses.size() > 1)
    assignment.decisions.emplace_back(
        "experts", fmt::format("{}: vLLM takes that, but transformers takes one format for all experts and loads the "
                               "others wrong without a word",
                               mix));
}

}  // namespace

void note_serving_limits(const OpenModel& model, bool allow_unservable, Assignment& assignment) {
  check_servable(model, allow_unservable, assignment);
  note_model(model, assignment);
  for (const LayerSpec& layer : model.spec->layers)
    if (const LinearSpec* const router = router_of(layer)) note_router(*router, assignment);
  note_vllm_schemes(model, assignment);
  note_head(model, assignment);
  note_experts(model, assignment);
  note_mixed_experts(model, assignment);
}

}  // namespace strata
