// What passes say they do, against sums made by hand.
#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include "engine/graph/graph.h"
#include "engine/passes/flip_lanes.h"
#include "engine/passes/probe_menu.h"
#include "engine/run/prepare.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/sweep_time.h"
#include "profiles/layer_questions.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using Catch::Approx;

namespace {

constexpr double samples = 6, tokens = 24, all_tokens = samples * tokens, probes = 3, menu = 2;

class Fixture {
 public:
  Fixture() {
    test::write_token_rows(folder_.file("ids.safetensors"), 6, 24, test::demo_vocabulary);
    options = test::options_in(folder_, test::demo_model, "", folder_.file("ids.safetensors"), 6, 24);
    options.assignment.allow_unservable = true;
  }

  QuantizeRequest options;

 private:
  test::TemporaryFolder folder_;
};

// Values of all Linears; of those of experts only those that a token goes through on average, which is what it costs.
struct Parameters {
  double all = 0, mixers = 0, routers = 0, met = 0;
};
Parameters parameters_of(const ModelSpec& spec) {
  Parameters sum;
  for (const LayerSpec& layer : spec.layers) {
    const std::vector<const LinearSpec*> experts = expert_linears(layer);
    for (const LinearSpec* linear : linears(layer)) {
      const double values = static_cast<double>(linear->out * linear->in);
      const bool expert = std::ranges::find(experts, linear) != experts.end();
      sum.all += values;
      if (linear == router_of(layer)) sum.routers += values;
      if (!expert && linear != router_of(layer)) sum.mixers += values;
      if (expert) sum.met += values * chosen_experts(layer) / expert_count(layer);
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("a forward multiplies each token with what it meets, and encodes what leaves each layer") {
  Fixture fixture;
  fixture.options.assignment.scheme = "NVFP4";
  const RunPlan plan = plan_run(open_model(test::demo_model), fixture.options, 2);
  REQUIRE(plan.sweeps.size() == 1);
  const WorkSheet sheet = sweep_work(plan, plan.sweeps[0], plan.question(fixture.options));
  const ModelSpec& spec = *plan.model.spec;
  const Parameters sum = parameters_of(spec);
  CHECK(sheet.total(Effort::multiply) == Approx(2 * all_tokens * (sum.mixers + sum.routers + sum.met)));
  const AttentionSpec& attention = *attention_of(spec.layers[0]);
  const auto layers = static_cast<double>(spec.layers.size());
  CHECK(sheet.total(Effort::attend) == Approx(4 * all_tokens * tokens * static_cast<double>(attention.q.out) * layers));
  CHECK(sheet.total(Effort::pack) == Approx((layers + 1) * all_tokens * static_cast<double>(spec.hidden) * 4));
  CHECK(sheet.total(Effort::read) == Approx(static_cast<double>(plan.model.checkpoint.total_bytes())));
  CHECK(sheet.total(Effort::write) == static_cast<double>(plan.output->total_bytes));
  CHECK(sheet.total(Effort::decode) == Approx(sum.all));
  CHECK(sheet.total(Effort::encode) == Approx(sum.all - sum.routers));  // the head is kept, and so are routers
}

TEST_CASE("the probe goes forward again, back once a probe, and through every option of the menu") {
  Fixture fixture;
  fixture.options.mixed = {.bits = 6.0, .formats = {"NVFP4", "MXFP8", "BF16"}, .probes = static_cast<int>(probes)};
  fixture.options.mixed.flip_tokens = static_cast<std::int64_t>(tokens);
  const RunPlan plan = plan_run(open_model(test::demo_model), fixture.options, 2);
  REQUIRE(plan.sweeps.size() == 4);
  const ModelSpec& spec = *plan.model.spec;
  const Parameters sum = parameters_of(spec);
  const WorkSheet back = sweep_work(plan, plan.sweeps[1], plan.question(fixture.options));
  double routed = 0;  // the router is asked again for each group of experts
  for (const Part& part : cut_run(plan.question(fixture.options), plan.sweeps[1].passes, plan.sweeps[1].cut.cut.limits))
    if (part.kind == Part::Kind::experts)
      routed += static_cast<double>(router_of(*part.visit->layer)->out * router_of(*part.visit->layer)->in);
  const double head = static_cast<double>(spec.head.out * spec.head.in);
  const double forward = 2 * sum.mixers + sum.met + routed, backward = sum.mixers + sum.met + routed;
  CHECK(back.total(Effort::multiply) ==
        Approx(2 * all_tokens * (forward + probes * backward + menu * (sum.mixers + sum.met) + (1 + probes) * head)));
  // NVFP4 is encoded on the way forward and read from then on, MXFP8 is made again; BF16 is the source.
  const WorkSheet first = sweep_work(plan, plan.sweeps[0], plan.question(fixture.options));
  // Beside the source one window of six goes through what is behind each unit, but for the experts of the last layer.
  const std::vector<FlipLane> lanes =
      flip_lanes(plan.question(fixture.options), probe_menu(plan.question(fixture.options)));
  REQUIRE(lanes.size() == 3 * spec.layers.size() - 1);
  double experts = 0;  // of the last layer
  for (const LinearSpec* linear : expert_linears(spec.layers.back()))
    experts += static_cast<double>(linear->out * linear->in);
  CHECK(first.total(Effort::encode) == Approx(2 * (sum.all - sum.routers) - experts));
  double through = 0;  // layers, over all lanes: the source's, and three that start in each layer
  for (std::size_t layer = 0; layer < spec.layers.size(); ++layer)
    through += 1 + 3 * static_cast<double>(layer + 1) - (layer + 1 == spec.layers.size() ? 1 : 0);
  const double per_layer = (sum.mixers + sum.routers + sum.met) / static_cast<double>(spec.layers.size());
  CHECK(first.total(Effort::multiply) ==
        Approx(2 * (all_tokens * (sum.mixers + sum.routers + sum.met) +
                    tokens * (through * per_layer + static_cast<double>(lanes.size() + 1) * head))));
  CHECK(back.total(Effort::encode) == Approx(sum.all - sum.routers));
  const auto layers = static_cast<double>(spec.layers.size());
  const double states = (layers + 1) * all_tokens * static_cast<double>(spec.hidden) * 4;
  CHECK(back.total(Effort::pack) == Approx(probes * states));
  CHECK(back.total(Effort::unpack) == Approx(states));
  const WorkSheet last = sweep_work(plan, plan.sweeps[3], plan.question(fixture.options));
  CHECK(last.total(Effort::multiply) == 0);
  CHECK(last.total(Effort::encode) == 0);
  CHECK(last.total(Effort::write) == static_cast<double>(plan.most_output));
}

TEST_CASE("a plan takes the time only where it is asked to") {
  Fixture fixture;
  fixture.options.assignment.scheme = "NVFP4";
  for (const SweepCosts& costs : plan_quantize(fixture.options).costs) CHECK(!costs.time);
  for (const SweepCosts& costs : plan_quantize(fixture.options, true).costs) {
    REQUIRE(costs.time);
    CHECK(costs.time->longest() > 0);
  }
}
