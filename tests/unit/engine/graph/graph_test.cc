// The order of passes: made-up passes for every rule, the passes that are planned, and those that are there.
#include "engine/graph/graph.h"

#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "engine/graph/choose.h"
#include "engine/graph/facts.h"
#include "engine/plan/assignment.h"
#include "tests/support/source_folder.h"
#include "tests/support/sweep_shape.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

using Chosen = std::vector<const PassType*>;

using Given = std::vector<const FactInfo*>;
std::string planned(const Chosen& chosen, const Given& given = {}) {
  return test::sweep_shape(plan_sweeps(chosen, given));
}

// The one line of the Error{bug} that planning ends with.
std::string refusal(const Chosen& chosen, const Given& given = {}) {
  const Error error = test::thrown_by([&] { plan_sweeps(chosen, given); });
  CHECK(error.fault == Fault::bug);
  CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
  return error.what();
}

// Facts as a mixed run will have them; those of the engine where there are such.
constexpr Keeping kept{};
constexpr Fact<int> source{{.name = "source", .life = Life::part, .at_start = true}};
constexpr Fact<int> boundary{{.name = "boundary", .life = Life::run, .at_start = true, .moves_on = true}};
constexpr Fact<int> weights{{.name = "weights", .life = Life::layer}};
constexpr Fact<int> moments{{.name = "moments", .life = Life::run, .keeping = &kept}};
constexpr Fact<int> renders{{.name = "renders", .life = Life::run, .keeping = &kept}};
constexpr Fact<int> scores{{.name = "scores", .life = Life::run, .keeping = &kept}};
constexpr Fact<int> assignment{{.name = "assignment", .life = Life::run, .whole_model = true, .keeping = &kept}};
constexpr Fact<int> measured{{.name = "measured", .life = Life::run, .whole_model = true, .keeping = &kept}};
constexpr Fact<int> output{{.name = "output", .life = Life::layer}};

const PassType decode{.name = "decode", .reads = {&source}, .writes = {&weights}};
const PassType propagate{
    .name = "propagate", .reads = {&source, &boundary}, .uses = {&weights}, .writes = {&boundary, &moments}};
const PassType render{.name = "render", .reads = {&source}, .uses = {&moments}, .writes = {&renders}};
const PassType assemble{.name = "assemble", .reads = {&source, &renders}, .uses = {&assignment}, .writes = {&output}};
const PassType probe{
    .name = "probe", .direction = Direction::reverse, .reads = {&boundary, &renders}, .writes = {&scores}};
const PassType allocate{.name = "allocate", .direction = Direction::none, .reads = {&scores}, .writes = {&assignment}};
const PassType evaluate{.name = "evaluate", .reads = {&boundary, &renders, &assignment}, .writes = {&measured}};
const PassType polish{.name = "polish", .reads = {&measured, &assignment}, .writes = {&assignment}};
const PassType autoround{.name = "autoround", .reads = {&source, &boundary}, .writes = {&renders}};
const PassType verify{.name = "verify", .reads = {&output}};

}  // namespace

TEST_CASE("a pass runs after the passes that write what it reads, whatever order they are given in") {
  Chosen chosen = {&assemble, &decode, &propagate, &render};
  std::ranges::sort(chosen);
  do {
    INFO(chosen[0]->name << " " << chosen[1]->name << " " << chosen[2]->name << " " << chosen[3]->name);
    CHECK(planned(chosen) == "forward decode propagate render assemble");
  } while (std::ranges::next_permutation(chosen).found);
}

TEST_CASE("a fact that a pass only uses orders it after the writer, and may be missing") {
  CHECK(planned({&render, &propagate}) == "forward propagate render");
  CHECK(planned({&render}) == "forward render");
  CHECK(planned({&assemble, &render}) == "forward render assemble");
}

TEST_CASE("passes that may run in any order run in the order they are given") {
  const PassType a{.name = "a", .reads = {&source}}, b{.name = "b"}, c{.name = "c", .reads = {&boundary}};
  CHECK(planned({&a, &b, &c}) == "forward a b c");
  CHECK(planned({&c, &b, &a}) == "forward c b a");
  CHECK(planned({&assemble, &render, &a}) == "forward render assemble a");
  CHECK(planned({}).empty());
}

TEST_CASE("whoever reads the boundary runs before the pass that makes it the next layer's") {
  CHECK(planned({&propagate, &autoround}) == "forward autoround propagate");
  const PassType reader{.name = "reader", .uses = {&boundary}};
  CHECK(planned({&propagate, &reader}) == "forward reader propagate");
}

TEST_CASE("a reader of the boundary that needs what its advancer writes gets the boundary in a later sweep") {
  const PassType late{.name = "late", .reads = {&boundary, &moments}, .writes = {&renders}};
  CHECK(planned({&late, &propagate, &assemble}) == "forward propagate; forward late assemble");
}

TEST_CASE("a reader gets what a fact became in the end, but for readers that the improver waits for") {
  const PassType measure{.name = "measure", .reads = {&renders}, .writes = {&scores}};
  const PassType repair{.name = "repair", .reads = {&renders, &scores}, .writes = {&renders}};
  const PassType improve{.name = "improve", .reads = {&renders}, .writes = {&renders}};
  CHECK(planned({&improve, &render}) == "forward render improve");
  CHECK(planned({&assemble, &repair, &measure, &render}) == "forward render measure repair assemble");
}

TEST_CASE("a fact of the whole model is read in a later sweep than the one that writes it") {
  const PassType decide{.name = "decide", .reads = {&source}, .writes = {&assignment}};
  const PassType other{.name = "other", .reads = {&source}};
  const PassType follow{.name = "follow", .uses = {&assignment}};
  CHECK(planned({&follow, &decide, &other}) == "forward decide other; forward follow");
  CHECK(planned({&follow, &other}) == "forward follow other");
  CHECK(planned({&evaluate, &render}, {&assignment}) == "forward render evaluate");
}

TEST_CASE("a pass that goes any way joins the sweeps that read what it writes, and no others") {
  const PassType any{.name = "any", .direction = Direction::any, .reads = {&source}, .writes = {&weights}};
  const PassType forth{.name = "forth", .reads = {&weights, &boundary}, .writes = {&boundary}};
  const PassType back{.name = "back", .direction = Direction::reverse, .reads = {&boundary, &weights}};
  const PassType user{.name = "user", .uses = {&weights}, .writes = {&renders}};
  const PassType last{.name = "last", .direction = Direction::none, .reads = {&renders}};
  CHECK(planned({&any, &forth, &back, &user, &last}) == "forward any forth user; reverse any back; none last");
  CHECK(planned({&any, &user}) == "forward user");
}

TEST_CASE("passes of different directions do not share a sweep") {
  CHECK(planned({&render, &probe}) == "forward render; reverse probe");
  const PassType back{.name = "back", .direction = Direction::reverse};
  const PassType forth{.name = "forth"}, whole{.name = "whole", .direction = Direction::none};
  CHECK(planned({&back, &forth, &whole, &render}) == "reverse back; forward forth render; none whole");
}

TEST_CASE("a mixed run is a forward, a reverse, a layerless and a forward sweep") {
  const Chosen mixed = {&decode, &render, &propagate, &probe, &allocate, &evaluate, &assemble};
  const std::string expected =
      "forward decode propagate render; reverse probe; none allocate; forward evaluate assemble";
  CHECK(planned(mixed) == expected);
  const Chosen backwards(mixed.rbegin(), mixed.rend());
  CHECK(planned(backwards) ==
        "forward decode propagate render; reverse probe; none allocate; forward assemble evaluate");
}

TEST_CASE("a polished assignment is what is assembled, and the measured one is what was polished") {
  CHECK(planned({&decode, &render, &propagate, &probe, &allocate, &evaluate, &polish, &assemble, &verify}) ==
        "forward decode propagate render; reverse probe; none allocate; forward evaluate; forward polish; "
        "forward assemble verify");
}

TEST_CASE("passes that wait for each other are refused with the way around") {
  const PassType a{.name = "a", .reads = {&scores}, .writes = {&moments}};
  const PassType b{.name = "b", .uses = {&moments}, .writes = {&renders}};
  const PassType c{.name = "c", .reads = {&renders}, .writes = {&scores}};
  const PassType d{.name = "d", .reads = {&scores}};
  CHECK_THAT(refusal({&d, &decode, &a, &b, &c}), ContainsSubstring("c after b after a after c"));
}

TEST_CASE("two facts of one name are refused: files and keys would mix them up") {
  const Fact<int> twin{{.name = "renders", .life = Life::layer}};
  const PassType stranger{.name = "stranger", .writes = {&twin}};
  CHECK_THAT(refusal({&render, &stranger}), ContainsSubstring("pass stranger: names a second fact renders"));
}

TEST_CASE("what a later sweep wants is kept by the sweep that makes it") {
  const std::vector<SweepPlan> sweeps =
      plan_sweeps(Chosen{&decode, &render, &propagate, &probe, &allocate, &evaluate, &assemble}, Given{});
  const auto names = [](const std::vector<const FactInfo*>& facts) {
    std::string text;
    for (const FactInfo* fact : facts) text += fmt::format("{} ", fact->name);
    return text;
  };
  REQUIRE(sweeps.size() == 4);
  CHECK(names(sweeps[0].keeps) == "renders boundary ");
  CHECK(names(sweeps[1].finds) == "renders boundary ");
  CHECK(names(sweeps[1].keeps) == "scores ");
  CHECK(names(sweeps[2].finds) == "scores ");
  CHECK(names(sweeps[2].keeps) == "assignment ");
  CHECK(names(sweeps[3].finds) == "renders boundary assignment ");
  CHECK(sweeps[0].advancer(boundary) == &propagate);
  CHECK(sweeps[1].advancer(boundary) == nullptr);
}

TEST_CASE("two writers of one fact are refused, and so are two that advance it") {
  CHECK_THAT(refusal({&render, &autoround}), ContainsSubstring("passes render and autoround: both write renders"));
  const PassType second{.name = "second", .uses = {&boundary}, .writes = {&boundary}};
  CHECK_THAT(refusal({&propagate, &second}), ContainsSubstring("passes propagate and second: both write boundary"));
}

TEST_CASE("a fact that is read, not written and not given is refused") {
  CHECK_THAT(refusal({&assemble}), ContainsSubstring("pass assemble: reads renders"));
  CHECK_THAT(refusal({&render, &evaluate}), ContainsSubstring("pass evaluate: reads assignment"));
  CHECK_THAT(refusal({&polish}, {&measured}), ContainsSubstring("pass polish: reads assignment"));
}

TEST_CASE("a fact that does not outlive its sweep is refused in a later one") {
  const PassType back{.name = "back", .direction = Direction::reverse, .reads = {&output}};
  CHECK_THAT(refusal({&render, &assemble, &back}),
             ContainsSubstring("pass back: reads output of assemble, which runs in an earlier sweep"));
}

TEST_CASE("the passes of a run are one sweep, with and without data") {
  const OpenModel model = open_model(test::in_source("demo/model"));
  const QuantizeRequest request;
  const Assignment formats = assign_formats(model, {.scheme = "NVFP4"});
  PassQuestion question{.model = model, .request = request, .assignment = &formats};
  const Given given = {&facts::assignment};
  CHECK(planned(choose_passes(pass_types(), question), given) == "forward render assemble");
  question.learns = true;
  CHECK(planned(choose_passes(pass_types(), question), given) == "forward decode propagate render assemble");
  for (const PassType* pass : pass_types()) {
    INFO(pass->name);
    CHECK(&pass_type(pass->name) == pass);
  }
}

TEST_CASE("a pass that nobody asked for comes where another reads what it writes, and only there") {
  const OpenModel model = open_model(test::in_source("demo/model"));
  const QuantizeRequest request;
  const PassQuestion question{.model = model, .request = request};
  const auto always = [](const PassQuestion&) { return true; };
  const PassType reader{.name = "reader", .reads = {&moments}, .wanted = always};
  const PassType user{.name = "user", .uses = {&moments}, .wanted = always};
  const auto chosen = [&](const Chosen& all) {
    std::string names;
    for (const PassType* pass : choose_passes(all, question)) names += fmt::format("{} ", pass->name);
    return names;
  };
  CHECK(chosen({&decode, &propagate, &reader, &render}) == "propagate reader ");
  CHECK(chosen({&decode, &propagate, &user, &render}) == "user ");
}

TEST_CASE("Linears that see one input are looked at alike, for all passes together") {
  const OpenModel model = open_model(test::in_source("demo/model"));
  const QuantizeRequest request;
  const PassQuestion question{.model = model, .request = request};
  const PassType one{.name = "one", .collects = [](const PassQuestion&, const LinearPlan& linear) {
                       return linear.spec->module.ends_with("q_proj") ? Collect::amax : Collect::nothing;
                     }};
  const PassType two{.name = "two", .collects = [](const PassQuestion&, const LinearPlan& linear) {
                       return linear.spec->module.ends_with("o_proj") ? Collect::squares : Collect::nothing;
                     }};
  const std::vector<Collect> collects = what_to_collect(Chosen{&one, &two}, question);
  for (const LinearPlan& linear : model.linears) {
    const std::string& name = linear.spec->module;
    INFO(name);
    const bool qkv = name.ends_with("q_proj") || name.ends_with("k_proj") || name.ends_with("v_proj");
    const Collect expected = qkv ? Collect::amax : name.ends_with("o_proj") ? Collect::squares : Collect::nothing;
    CHECK(collects.at(linear.spec->index) == expected);
  }
}

TEST_CASE("a graph is printed sweep by sweep in columns") {
  const PassType count{.name = "count", .summary = "counts", .direction = Direction::none};
  const PassType back{.name = "back",
                      .summary = "looks back",
                      .direction = Direction::reverse,
                      .reads = {&source, &boundary},
                      .uses = {&assignment},
                      .writes = {&scores}};
  CHECK(graph_text(plan_sweeps(Chosen{&count, &back, &decode}, Given{})) ==
        "sweep 1, without layers\n"
        "  count   reads nothing                       writes nothing  - counts\n"
        "sweep 2, reverse\n"
        "  back    reads source boundary (assignment)  writes scores   - looks back\n"
        "sweep 3, forward\n"
        "  decode  reads source                        writes weights  - \n");
}
