// The plan of memory from shapes alone: its terms by hand, its order, and how a cut is chosen.
#include "engine/sweep/memory_plan.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <limits>
#include <optional>
#include <vector>

#include "engine/graph/choose.h"
#include "engine/graph/facts.h"
#include "engine/plan/assignment.h"
#include "engine/sweep/boundary.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

using namespace strata;

namespace {

constexpr std::uint64_t any_memory = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t mib = 1u << 20;

struct Question {
  std::int64_t samples = 0, tokens = 0;  // 0 without data
  int threads = 1;
  std::uint64_t data = 0, base = 0;
};

// One dense layer, or four of experts.
class Fixture {
 public:
  explicit Fixture(bool experts) {
    if (!experts) test::write_tiny_llama(folder_.file("model"));
    model_.emplace(open_model(experts ? test::in_source("demo/model") : folder_.file("model")));
    assignment_ = assign_formats(*model_, {.scheme = "W4A16"});
  }
  CutPlan plan(const Question& question, std::uint64_t limit = any_memory) const {
    const QuantizeRequest request{.assignment = {.scheme = "W4A16"}};
    const PassQuestion pass{
        .model = *model_, .request = request, .assignment = &assignment_, .learns = question.samples > 0};
    const std::vector<const PassType*> passes = choose_passes(pass_types(), pass);
    const std::vector<const FactInfo*> given = {&facts::assignment};
    const std::vector<SweepPlan> sweeps = plan_sweeps(passes, given);
    REQUIRE(sweeps.size() == 1);
    const std::vector<Collect> collects = what_to_collect(passes, pass);
    std::vector<MovingStates> moving;
    if (pass.learns)
      moving.push_back({&facts::boundary, boundary_shape(question.samples, question.tokens, model_->spec->hidden)});
    return plan_memory({.pass = pass,
                        .sweep = sweeps.front(),
                        .collects = collects,
                        .moving = moving,
                        .threads = question.threads,
                        .data = question.data,
                        .base = question.base},
                       limit);
  }

 private:
  test::TemporaryFolder folder_;
  std::optional<OpenModel> model_;
  Assignment assignment_;
};

Question question_with_data() { return {.samples = 64, .tokens = 64, .threads = 4, .data = 1000, .base = 100 * mib}; }

std::uint64_t term(const MemoryPlan& plan, std::string_view holder) { return plan.sheet.of(Resource::host, holder); }

std::vector<std::uint64_t> terms(const MemoryPlan& plan) {
  std::vector<std::uint64_t> all = {plan.base, plan.data};
  for (const CostRow& row : plan.sheet.rows())
    if (row.resource == Resource::host) all.push_back(row.bytes);
  return all;
}

std::vector<std::uint64_t> described(const CutPlan& plan) {
  std::vector<std::uint64_t> all = terms(plan.memory);
  all.insert(all.end(), {plan.cut.limits.group_bytes, plan.cut.limits.piece_bytes, plan.cut.in_memory ? 1u : 0u,
                         static_cast<std::uint64_t>(plan.cut.threads), static_cast<std::uint64_t>(plan.cut.slots),
                         static_cast<std::uint64_t>(plan.cut.renders)});
  return all;
}

std::uint64_t peak_of(const CutPlan& plan) { return plan.memory.peak(); }

}  // namespace

TEST_CASE("equal arguments give equal plans, and the process only adds to the peak") {
  const Fixture fixture(GENERATE(false, true));
  Question question = question_with_data();
  const CutPlan plan = fixture.plan(question);
  const std::vector<char> ballast(64 * mib, 1);  // what the process takes meanwhile is not the plan's
  CHECK(described(fixture.plan(question)) == described(plan));
  question.base += 123'456;
  CHECK(peak_of(fixture.plan(question)) == peak_of(plan) + 123'456);
}

TEST_CASE("the terms of a dense layer are what its shapes say") {
  // hidden 128, key and value 64, MLP 256, embedding and head [16, 128], BF16; 4 blocks of 1024 tokens.
  const Fixture fixture(false);
  const Question question = question_with_data();
  const CutPlan plan = fixture.plan(question);
  constexpr std::uint64_t positions = 64 * 64, mlp = 3 * 256 * 128;
  constexpr std::uint64_t codes = 256 * 128 / 2, scales = 256 * 2,
                          shape = 64;  // of each of its Linears, in steps of 64
  CHECK(plan.cut.threads == 4);
  CHECK(plan.cut.in_memory);
  CHECK(plan.memory.data == 1000);
  CHECK(plan.memory.base >= question.base);
  CHECK(plan.memory.base <= question.base + 32 * mib);
  CHECK(term(plan.memory, "boundary") == positions * 128 * sizeof(float) + positions * sizeof(std::int32_t));
  CHECK(term(plan.memory, "weights") == mlp * sizeof(float));
  CHECK(term(plan.memory, "renders") == 2 * 3 * (codes + scales + shape));              // of two parts
  CHECK(term(plan.memory, "decoded") == 4 * std::uint64_t{256 * 128} * sizeof(float));  // a thread each
  CHECK(term(plan.memory, "source") >= 3 * mlp * 2);  // three parts, and the blocks they lie in
  CHECK(term(plan.memory, "source") <= 3 * (mlp * 2 + 3 * 8192));
  CHECK(term(plan.memory, "moments") ==
        (4 + 1) * std::uint64_t{128 + 256} * sizeof(double));  // of gate with up, and of down
}

TEST_CASE("the peak is the process and the larger of its two phases") {
  const Fixture fixture(GENERATE(false, true));
  Question question = question_with_data();
  const CutPlan plan = fixture.plan(question);
  std::uint64_t run = 0;
  for (const std::uint64_t term : terms(plan.memory)) run += term;
  run -= plan.memory.base + plan.memory.data;
  CHECK(peak_of(plan) == plan.memory.base + run);
  question.data = run + 1;
  CHECK(peak_of(fixture.plan(question)) == plan.memory.base + run + 1);
}

TEST_CASE("without data nothing of the forward is planned") {
  const Fixture fixture(GENERATE(false, true));
  const MemoryPlan plan = fixture.plan({.threads = 2}).memory;
  for (const std::string_view holder : {"boundary", "weights", "moments", "forward"}) CHECK(term(plan, holder) == 0);
  CHECK(plan.data == 0);
  CHECK(term(plan, "source") > 0);
  CHECK(term(plan, "renders") > 0);
}

TEST_CASE("more samples, longer ones and more threads never need less") {
  const Fixture fixture(GENERATE(false, true));
  const auto grows = [&](const char* what, auto set) {
    INFO(what);
    std::uint64_t before = 0;
    for (const int value : {1, 2, 4, 8, 16, 64, 256, 1024}) {
      Question question = question_with_data();
      set(question, value);
      const std::uint64_t peak = peak_of(fixture.plan(question));
      INFO(value);
      CHECK(peak >= before);
      before = peak;
    }
    CHECK(before > peak_of(fixture.plan({.samples = 1, .tokens = 1, .threads = 1, .base = 100 * mib})));
  };
  grows("samples", [](Question& question, int value) { question.samples = value; });
  grows("tokens", [](Question& question, int value) { question.tokens = value; });
  grows("threads", [](Question& question, int value) { question.threads = value; });
}

TEST_CASE("the fastest cut that fits is taken, and the smallest where none does") {
  const Fixture fixture(GENERATE(false, true));
  Question question = question_with_data();
  question.samples = 512;  // so that hidden states count
  const CutPlan smallest = fixture.plan(question, 0), largest = fixture.plan(question);
  REQUIRE(peak_of(smallest) < peak_of(largest));
  CHECK(largest.cut.threads == 4);
  CHECK(largest.cut.in_memory);
  CHECK(smallest.cut.threads == 1);
  CHECK_FALSE(smallest.cut.in_memory);
  CHECK(described(fixture.plan(question, peak_of(smallest))) == described(smallest));
  CHECK(described(fixture.plan(question, peak_of(smallest) - 1)) == described(smallest));
  int threads = 1;
  const std::uint64_t step = (peak_of(largest) - peak_of(smallest)) / 12;
  for (std::uint64_t limit = peak_of(smallest); limit <= peak_of(largest) + step; limit += step) {
    const CutPlan plan = fixture.plan(question, limit);
    INFO(limit);
    CHECK(peak_of(plan) <= limit);
    CHECK(peak_of(plan) >= peak_of(smallest));
    CHECK(plan.cut.threads >= threads);
    CHECK(described(fixture.plan(question, peak_of(plan))) == described(plan));
    threads = plan.cut.threads;
  }
}
