// Random mixes of a mixture of experts, through assignment and config: transformers reads all experts by the one
// group that it finds. Where that is not every layer's own, the plan must say so, and nowhere else.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>

#include "engine/plan/assignment.h"
#include "engine/plan/output_plan.h"
#include "profiles/layer_questions.h"
#include "tests/support/format_group.h"
#include "tests/support/loader_matchers.h"
#include "tests/support/source_folder.h"

using namespace strata;

namespace {

// Formats that take the model's shapes.
std::vector<const NumberFormat*> usable(const OpenModel& model) {
  std::vector<const NumberFormat*> formats;
  for (const NumberFormat* const format : number_formats()) {
    if (format->source_only || format->calibrated_input) continue;
    bool fits = true;
    for (const Visit& visit : model.visits)
      for (const LinearSpec* const linear : visit.linears) fits = fits && !format->refusal({linear->out, linear->in});
    if (fits) formats.push_back(format);
  }
  return formats;
}

}  // namespace

TEST_CASE("the plan says when transformers' one scheme for experts is not that of every layer, and only then") {
  const OpenModel model = open_model(test::in_source("tests/golden/models/qwen3-moe"));
  const std::vector<const NumberFormat*> formats = usable(model);
  REQUIRE(formats.size() > 3);
  int violated = 0, kept = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto any = [&] { return formats[random() % formats.size()]; };
    AssignmentRequest options{.scheme = std::string(any()->name), .allow_unservable = true};
    options.overrides = {{"*.self_attn.*", std::string(any()->name)}};
    if (seed % 4 != 0) options.overrides.emplace_back("*.1.mlp.experts.*", any()->name);
    if (seed % 4 > 1) options.overrides.emplace_back("*.2.mlp.experts.*", any()->name);
    const Assignment assignment = assign_formats(model, options);
    test::LoaderMatchers matchers(plan_output(model, assignment, 5'000'000'000).config_json);

    const nlohmann::json taken = matchers.scheme(matchers.transformers_experts());
    bool right = true, quantized = false;
    for (const LayerSpec& layer : model.spec->layers) {
      const std::vector<const LinearSpec*> expert = first_expert(layer);
      if (expert.empty()) continue;
      const NumberFormat& format = assignment.of(*expert.back());
      const nlohmann::json own = test::group_of(format);
      const std::string block = layer.prefix + ".mlp.experts";
      for (const auto order : {test::VllmOrder::name_fused_class, test::VllmOrder::name_class_fused})
        CHECK(matchers.scheme(matchers.by_vllm_experts(block, order)) == own);
      right = right && own == taken;
      quantized = quantized || !own.is_null();
    }
    const bool said = std::any_of(assignment.decisions.begin(), assignment.decisions.end(),
                                  [](const auto& decision) { return decision.first == "experts"; });
    CHECK(said == (quantized && !right));
    ++(said ? violated : kept);
  }
  CHECK(violated > 5);
  CHECK(kept > 5);
}
