// What there is to choose, and its exact bytes: against the layout of whole outputs, and by hand.
#include "engine/plan/menu.h"

#include <algorithm>
#include <array>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "engine/plan/output_plan.h"
#include "tests/support/source_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;

namespace {

std::vector<const NumberFormat*> formats_of(std::initializer_list<const char*> names) {
  std::vector<const NumberFormat*> formats;
  for (const char* const name : names) formats.push_back(&require_number_format(name));
  return formats;
}

Menu menu_of(const OpenModel& model, std::initializer_list<const char*> names, std::vector<std::string> ignore = {}) {
  return plan_menu(model, {.ignore = std::move(ignore), .allow_unservable = true}, {}, formats_of(names));
}

// Bytes of the slots of a unit's Linears in an output that has everything in one format.
std::uint64_t slot_bytes(const OpenModel& model, const MenuUnit& unit, const char* scheme) {
  const Assignment assignment = assign_formats(model, {.scheme = scheme, .allow_unservable = true});
  const OutputPlan plan = plan_output(model, assignment, 100'000);
  std::uint64_t bytes = 0;
  for (const LinearSpec* linear : unit.members)
    for (std::size_t i = plan.linears.at(linear->index); i < plan.slots.size(); ++i) {
      if (!plan.slots.name(i).starts_with(linear->module + ".")) break;
      bytes += plan.slots[i].bytes;
    }
  return bytes;
}

}  // namespace

TEST_CASE("units have the options that their shapes allow, with the bytes of an output") {
  const OpenModel model = open_model(in_source("demo/model"));
  const Menu menu = menu_of(model, {"NVFP4A16", "MXFP8A16", "BF16"});
  std::set<const LinearSpec*> seen;
  std::uint64_t parameters = 0, smallest = 0, largest = 0;
  for (const MenuUnit& unit : menu.units) {
    INFO(unit.members.front()->module);
    std::uint64_t mine = 0;
    for (const LinearSpec* linear : unit.members) {
      CHECK(seen.insert(linear).second);
      CHECK(linear->kind == LinearClass::quantize);
      mine += static_cast<std::uint64_t>(linear->out * linear->in);
    }
    CHECK(unit.parameters == mine);
    parameters += mine;
    REQUIRE(unit.options.size() == 3);
    CHECK(!unit.options[0].source);
    CHECK(!unit.options[1].source);
    CHECK(unit.options[2].source);  // which is BF16 itself
    CHECK(unit.options[0].bytes == slot_bytes(model, unit, "NVFP4A16"));
    CHECK(unit.options[1].bytes == slot_bytes(model, unit, "MXFP8A16"));
    CHECK(unit.options[2].bytes == 2 * mine);
    // By hand: half a byte a weight, one for 16, and a global scale of 4 a Linear; a byte a weight and one for 32.
    CHECK(unit.options[0].bytes == mine / 2 + mine / 16 + 4 * unit.members.size());
    CHECK(unit.options[1].bytes == mine + mine / 32);
    smallest += unit.options[0].bytes;
    largest += unit.options[2].bytes;
  }
  CHECK(seen.size() == static_cast<std::size_t>(std::ranges::count_if(model.linears, [](const LinearPlan& linear) {
          return linear.spec->kind == LinearClass::quantize;
        })));
  CHECK(menu.parameters == parameters);
  CHECK(menu.smallest == smallest);
  CHECK(menu.largest == largest);
  CHECK(menu.budget(16) == largest);
  CHECK(menu.bits(menu.budget(4.75)) == Catch::Approx(4.75).epsilon(1e-6));
  CHECK(menu.bits(menu.budget(4.75)) <= 4.75);
}

TEST_CASE("what is kept, and what has one option alone, is not chosen") {
  const OpenModel model = open_model(in_source("demo/model"));
  const Menu all = menu_of(model, {"NVFP4A16", "BF16"}), fewer = menu_of(model, {"NVFP4A16", "BF16"}, {"*.o_proj"});
  CHECK(fewer.units.size() == all.units.size() - 4);
  CHECK(menu_of(model, {"NVFP4A16"}).units.empty());
  // Groups of 128 divide no width of this one: for none of its units there is anything to choose.
  CHECK(menu_of(open_model(in_source("tests/golden/models/llama")), {"W4A16", "BF16"}).units.empty());
  CHECK(thrown_by([&] { menu_of(model, {}); }).fault == Fault::usage);
  CHECK(thrown_by([&] { menu_of(model, {"BF16", "BF16"}); }).fault == Fault::usage);
}
