// The order of passes: made-up passes for every rule, the passes that are planned, and those that are there.
#include "engine/graph/graph.h"

#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "engine/graph/run_passes.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

using Chosen = std::vector<const PassType*>;

// "forward observe propagate; reverse probe"
std::string shape(const std::vector<SweepPlan>& sweeps) {
  std::string text;
  for (const SweepPlan& sweep : sweeps) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", direction_name(sweep.direction));
    for (const PassType* pass : sweep.passes) text += fmt::format(" {}", pass->name);
  }
  return text;
}

std::string planned(const Chosen& chosen, unsigned given = 0) { return shape(plan_sweeps(chosen, given)); }

// The one line of the Error{bug} that planning ends with.
std::string refusal(const Chosen& chosen, unsigned given = 0) {
  const Error error = test::thrown_by([&] { plan_sweeps(chosen, given); });
  CHECK(error.fault == Fault::bug);
  CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
  return error.what();
}

const PassType observe{.name = "observe", .writes = facts::watch};
const PassType propagate{.name = "propagate",
                         .reads = facts::source | facts::boundary,
                         .uses = facts::watch,
                         .writes = facts::boundary | facts::moments};
const PassType render{.name = "render", .reads = facts::source, .uses = facts::moments, .writes = facts::renders};
const PassType assemble{
    .name = "assemble", .reads = facts::source | facts::renders, .uses = facts::assignment, .writes = facts::output};
const PassType probe{.name = "probe",
                     .direction = Direction::reverse,
                     .reads = facts::boundary | facts::renders,
                     .writes = facts::scores};
const PassType allocate{
    .name = "allocate", .direction = Direction::none, .reads = facts::scores, .writes = facts::assignment};
const PassType evaluate{
    .name = "evaluate", .reads = facts::boundary | facts::renders | facts::assignment, .writes = facts::measured};
const PassType polish{.name = "polish", .reads = facts::measured | facts::assignment, .writes = facts::assignment};
const PassType autoround{.name = "autoround", .reads = facts::source | facts::boundary, .writes = facts::renders};
const PassType verify{.name = "verify", .reads = facts::output, .writes = 0};

}  // namespace

TEST_CASE("a pass runs after the passes that write what it reads, whatever order they are given in") {
  Chosen chosen = {&assemble, &observe, &propagate, &render};
  std::ranges::sort(chosen);
  do {
    INFO(chosen[0]->name << " " << chosen[1]->name << " " << chosen[2]->name << " " << chosen[3]->name);
    CHECK(planned(chosen) == "forward observe propagate render assemble");
  } while (std::ranges::next_permutation(chosen).found);
}

TEST_CASE("a fact that a pass only uses orders it after the writer, and may be missing") {
  CHECK(planned({&render, &propagate}) == "forward propagate render");
  CHECK(planned({&render}) == "forward render");
  CHECK(planned({&assemble, &render}) == "forward render assemble");
}

TEST_CASE("passes that may run in any order run in the order they are given") {
  const PassType a{.name = "a", .reads = facts::source}, b{.name = "b"}, c{.name = "c", .reads = facts::boundary};
  CHECK(planned({&a, &b, &c}) == "forward a b c");
  CHECK(planned({&c, &b, &a}) == "forward c b a");
  CHECK(planned({&assemble, &render, &a}) == "forward render assemble a");
  CHECK(planned({}).empty());
}

TEST_CASE("whoever reads the boundary runs before the pass that makes it the next layer's") {
  CHECK(planned({&propagate, &autoround}) == "forward autoround propagate");
  const PassType reader{.name = "reader", .uses = facts::boundary};
  CHECK(planned({&propagate, &reader}) == "forward reader propagate");
}

TEST_CASE("a reader of the boundary that needs what its advancer writes gets the boundary in a later sweep") {
  const PassType late{.name = "late", .reads = facts::boundary | facts::moments, .writes = facts::renders};
  CHECK(planned({&late, &propagate, &assemble}) == "forward propagate; forward late assemble");
}

TEST_CASE("a reader gets what a fact became in the end, but for readers that the improver waits for") {
  const PassType measure{.name = "measure", .reads = facts::renders, .writes = facts::scores};
  const PassType repair{.name = "repair", .reads = facts::renders | facts::scores, .writes = facts::renders};
  const PassType improve{.name = "improve", .reads = facts::renders, .writes = facts::renders};
  CHECK(planned({&improve, &render}) == "forward render improve");
  CHECK(planned({&assemble, &repair, &measure, &render}) == "forward render measure repair assemble");
}

TEST_CASE("a fact of the whole model is read in a later sweep than the one that writes it") {
  const PassType decide{.name = "decide", .reads = facts::source, .writes = facts::assignment};
  const PassType other{.name = "other", .reads = facts::source};
  const PassType follow{.name = "follow", .uses = facts::assignment};
  CHECK(planned({&follow, &decide, &other}) == "forward decide other; forward follow");
  CHECK(planned({&follow, &other}) == "forward follow other");
  CHECK(planned({&evaluate, &render}, facts::assignment) == "forward render evaluate");
}

TEST_CASE("passes of different directions do not share a sweep") {
  CHECK(planned({&render, &probe}) == "forward render; reverse probe");
  const PassType back{.name = "back", .direction = Direction::reverse};
  const PassType forth{.name = "forth"}, whole{.name = "whole", .direction = Direction::none};
  CHECK(planned({&back, &forth, &whole, &render}) == "reverse back; forward forth render; none whole");
}

TEST_CASE("a mixed run is a forward, a reverse, a layerless and a forward sweep") {
  const Chosen mixed = {&observe, &render, &propagate, &probe, &allocate, &evaluate, &assemble};
  const std::string expected =
      "forward observe propagate render; reverse probe; none allocate; forward evaluate assemble";
  CHECK(planned(mixed) == expected);
  const Chosen backwards(mixed.rbegin(), mixed.rend());
  CHECK(planned(backwards) ==
        "forward observe propagate render; reverse probe; none allocate; forward assemble evaluate");
}

TEST_CASE("a polished assignment is what is assembled, and the measured one is what was polished") {
  CHECK(planned({&observe, &render, &propagate, &probe, &allocate, &evaluate, &polish, &assemble, &verify}) ==
        "forward observe propagate render; reverse probe; none allocate; forward evaluate; forward polish; "
        "forward assemble verify");
}

TEST_CASE("passes that wait for each other are refused with the way around") {
  const PassType a{.name = "a", .reads = facts::scores, .writes = facts::moments};
  const PassType b{.name = "b", .uses = facts::moments, .writes = facts::renders};
  const PassType c{.name = "c", .reads = facts::renders, .writes = facts::scores};
  const PassType d{.name = "d", .reads = facts::scores};
  CHECK_THAT(refusal({&d, &observe, &a, &b, &c}), ContainsSubstring("c after b after a after c"));
}

TEST_CASE("a fact that is not in the table is refused") {
  const PassType stranger{.name = "stranger", .writes = 1u << 20};
  CHECK_THAT(refusal({&render, &stranger}), ContainsSubstring("pass stranger: ") && ContainsSubstring("0x100000"));
  const PassType user{.name = "user", .uses = 1u << 31};
  CHECK_THAT(refusal({&user}), ContainsSubstring("pass user: ") && ContainsSubstring("0x80000000"));
}

TEST_CASE("two writers of one fact are refused, and so are two that advance it") {
  CHECK_THAT(refusal({&render, &autoround}), ContainsSubstring("passes render and autoround: both write renders"));
  const PassType second{.name = "second", .uses = facts::boundary, .writes = facts::boundary};
  CHECK_THAT(refusal({&propagate, &second}), ContainsSubstring("passes propagate and second: both write boundary"));
}

TEST_CASE("a fact that is read, not written and not given is refused") {
  CHECK_THAT(refusal({&assemble}), ContainsSubstring("pass assemble: reads renders"));
  CHECK_THAT(refusal({&render, &evaluate}), ContainsSubstring("pass evaluate: reads assignment"));
  CHECK_THAT(refusal({&polish}, facts::measured), ContainsSubstring("pass polish: reads assignment"));
}

TEST_CASE("a fact that does not outlive its sweep is refused in a later one") {
  const PassType back{.name = "back", .direction = Direction::reverse, .reads = facts::output};
  CHECK_THAT(refusal({&render, &assemble, &back}),
             ContainsSubstring("pass back: reads output of assemble, which runs in an earlier sweep"));
}

TEST_CASE("the passes of a run are one sweep, with and without data") {
  CHECK(planned(passes_for(true)) == "forward observe propagate render assemble");
  CHECK(planned(passes_for(false)) == "forward render assemble");
  for (const PassType* pass : pass_types()) {
    INFO(pass->name);
    CHECK(&pass_type(pass->name) == pass);
  }
}

TEST_CASE("a graph is printed sweep by sweep in columns") {
  const PassType count{.name = "count", .summary = "counts", .direction = Direction::none};
  const PassType back{.name = "back",
                      .summary = "looks back",
                      .direction = Direction::reverse,
                      .reads = facts::source | facts::boundary,
                      .uses = facts::assignment,
                      .writes = facts::scores};
  CHECK(graph_text(plan_sweeps(Chosen{&count, &back, &observe}, 0)) ==
        "sweep 1, without layers\n"
        "  count    reads nothing                       writes nothing  - counts\n"
        "sweep 2, reverse\n"
        "  back     reads source boundary (assignment)  writes scores   - looks back\n"
        "sweep 3, forward\n"
        "  observe  reads nothing                       writes watch    - \n");
}
