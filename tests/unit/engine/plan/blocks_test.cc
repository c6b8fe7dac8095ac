// How layers of other blocks than attention and an MLP are cut into parts and units.
#include "engine/plan/blocks.h"

#include <catch2/catch_test_macros.hpp>

#include "engine/plan/assignment.h"
#include "profiles/layer_questions.h"
#include "profiles/profile.h"
#include "tests/support/small_output.h"

using namespace strata;

namespace {

// The small model of experts with the blocks of layer 1 (attention, experts) and 0 (attention, MLP) rearranged.
struct Rearranged {
  test::TemporaryFolder folder;
  OpenModel model;

  explicit Rearranged(const std::function<void(ModelSpec&)>& change) : model(open(change)) {}

  OpenModel open(const std::function<void(ModelSpec&)>& change) const {
    test::write_checkpoint(folder.path(), test::config_json, test::values(test::source_tensors()));
    Checkpoint checkpoint = Checkpoint::open(folder.path());
    ModelSpec spec = describe_model(require_profile(checkpoint.config()), checkpoint);
    change(spec);
    number_linears(spec);
    return OpenModel(std::move(checkpoint), {}, std::move(spec));
  }

  std::vector<Part> parts() const { return cut_visit(model, model.visits[1], 1, true, {.group_bytes = 0}); }
  std::vector<std::vector<const LinearSpec*>> units() const { return format_units(model.visits[1]); }
};

}  // namespace

TEST_CASE("attention and an MLP are two parts, of two units each") {
  const Rearranged it([](ModelSpec&) {});
  const std::vector<Part> parts = it.parts();
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].kind == Part::Kind::mixer);
  CHECK(parts[0].linears.size() == 4);
  CHECK(parts[0].kept.size() == 4);  // two norms, and those of q and k
  CHECK(parts[1].kind == Part::Kind::mlp);
  CHECK(parts[1].linears.size() == 3);
  CHECK(parts[1].kept.empty());
  std::vector<std::size_t> sizes;
  for (const auto& unit : it.units()) sizes.push_back(unit.size());
  CHECK(sizes == std::vector<std::size_t>{3, 1, 2, 1});
}

TEST_CASE("a layer of attention alone is one part, and has no feed-forward network") {
  const Rearranged it([](ModelSpec& spec) { spec.layers[0].blocks.pop_back(); });
  const std::vector<Part> parts = it.parts();
  REQUIRE(parts.size() == 1);
  CHECK(parts[0].kind == Part::Kind::mixer);
  CHECK(parts[0].linears.size() == 4);
  CHECK((parts[0].first && parts[0].last));
  CHECK(ffn_of(it.model.spec->layers[0]) == nullptr);
  CHECK(it.units().size() == 2);
}

TEST_CASE("a layer of an MLP alone is read after its norm") {
  const Rearranged it([](ModelSpec& spec) { spec.layers[0].blocks.erase(spec.layers[0].blocks.begin()); });
  const std::vector<Part> parts = it.parts();
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].linears.empty());
  CHECK(parts[0].kept.size() == 1);
  CHECK(parts[1].kind == Part::Kind::mlp);
  CHECK(attention_of(it.model.spec->layers[0]) == nullptr);
}

TEST_CASE("of three blocks the first two are one part, with the router of the third") {
  const Rearranged it([](ModelSpec& spec) {
    spec.layers[0].blocks.push_back(spec.layers[1].blocks.back());
    spec.layers[1].blocks.pop_back();
  });
  const std::vector<Part> parts = it.parts();
  REQUIRE(parts.size() == 3);
  CHECK(parts[0].linears.size() == 4 + 3 + 1);
  CHECK(parts[0].linears.back() == router_of(it.model.spec->layers[0]));
  CHECK(parts[0].kept.size() == 5);
  for (const std::size_t e : {0u, 1u}) {
    CHECK(parts[1 + e].kind == Part::Kind::experts);
    CHECK(parts[1 + e].linears.size() == 3);
    CHECK(parts[1 + e].first_expert == e);
    CHECK(parts[1 + e].end_expert == e + 1);
  }
  std::vector<std::size_t> sizes;
  for (const auto& unit : it.units()) sizes.push_back(unit.size());
  CHECK(sizes == std::vector<std::size_t>{3, 1, 2, 1, 1, 6});
}
