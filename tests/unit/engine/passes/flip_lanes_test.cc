// Which units are tried alone, and how they share lanes where these are too many.
#include "engine/passes/flip_lanes.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "engine/passes/probe_menu.h"
#include "profiles/layer_questions.h"
#include "tests/support/source_folder.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;

namespace {

struct Fixture {
  explicit Fixture(const std::string& folder) : model(open_model(folder)) {
    request.calibration = {.dataset = "some.txt", .nsamples = 64, .seqlen = 32};
    request.mixed = {.bits = 5, .formats = {"MXFP8", "NVFP4", "BF16"}, .flip_tokens = 64};
    request.assignment.allow_unservable = true;
  }

  PassQuestion question(bool learns = true) const { return {.model = model, .request = request, .learns = learns}; }
  Menu menu() const { return probe_menu(question()); }
  std::vector<FlipLane> lanes() const { return flip_lanes(question(), menu()); }

  OpenModel model;
  QuantizeRequest request;
};

std::set<std::size_t> units_in(const std::vector<FlipLane>& lanes) {
  std::set<std::size_t> units;
  for (const FlipLane& lane : lanes) units.insert(lane.units.begin(), lane.units.end());
  return units;
}

std::string module_of(const Menu& menu, std::size_t unit) { return menu.units[unit].members.front()->module; }

}  // namespace

TEST_CASE("each unit with a router behind it has a lane, which starts in its layer") {
  Fixture fixture(demo_model);
  const Menu menu = fixture.menu();
  const std::vector<FlipLane> lanes = fixture.lanes();
  for (const FlipLane& lane : lanes) {
    REQUIRE(lane.units.size() == 1);
    CHECK(lane.starts == menu.units[lane.units[0]].visit);
    CHECK(menu.units[lane.units[0]].options[smallest_encoding(menu.units[lane.units[0]])].format->name == "NVFP4");
  }
  CHECK(std::ranges::is_sorted(lanes, {}, &FlipLane::starts));
  CHECK(units_in(lanes).size() == lanes.size());
  std::size_t left_out = 0;
  for (std::size_t u = 0; u < menu.units.size(); ++u)
    if (!units_in(lanes).contains(u)) {
      ++left_out;
      CHECK(module_of(menu, u) == "model.layers.3.mlp.experts.0.gate_proj");
    }
  CHECK(left_out == 1);
}

TEST_CASE("units of one kind in layers that follow each other share lanes where there are too many") {
  Fixture fixture(demo_model);
  const Menu menu = fixture.menu();
  const std::size_t units = units_in(fixture.lanes()).size();
  fixture.request.mixed.flip_tokens = 64 * 32;  // all of the data: a lane takes up to a forward
  const std::vector<FlipLane> lanes = fixture.lanes();
  CHECK(units_in(lanes).size() == units);
  CHECK(lanes.size() < units);
  double forwards = 1;
  for (const FlipLane& lane : lanes) {
    forwards += static_cast<double>(fixture.model.visits.size() - lane.starts) /
                static_cast<double>(fixture.model.visits.size());
    CHECK(lane.starts == menu.units[lane.units.front()].visit);
    for (std::size_t i = 1; i < lane.units.size(); ++i) {
      const std::string one = module_of(menu, lane.units[i - 1]), next = module_of(menu, lane.units[i]);
      CHECK(one.substr(one.rfind('.')) == next.substr(next.rfind('.')));
      CHECK(menu.units[lane.units[i]].visit == menu.units[lane.units[i - 1]].visit + 1);
    }
  }
  CHECK(forwards <= most_flip_forwards);
}

TEST_CASE("nothing is tried where no token can change experts, or nobody asks") {
  CHECK(Fixture(in_source("tests/golden/models/llama-bias")).lanes().empty());
  Fixture fixture(demo_model);
  CHECK(flip_lanes(fixture.question(false), fixture.menu()).empty());
  fixture.request.mixed.flip_tokens = 0;
  CHECK(fixture.lanes().empty());
}

TEST_CASE("windows hold the tokens that are asked for, and there are no more than the data has") {
  QuantizeRequest request;
  request.mixed.flip_tokens = 100;
  CHECK(flip_windows(request, 64, 32) == 4);
  CHECK(flip_windows(request, 3, 32) == 3);
  CHECK(flip_windows(request, 64, 100) == 1);
  CHECK(flip_windows(request, 64, 4096) == 1);
}
