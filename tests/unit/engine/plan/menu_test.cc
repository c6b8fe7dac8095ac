// What there is to choose, and its exact bytes: against the layout of whole outputs, and by hand.
#include "engine/plan/menu.h"

#include <algorithm>
#include <array>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <set>

#include "engine/plan/output_plan.h"
#include "tests/support/coded_llama.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

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

TEST_CASE("a format that only copies is legal where the source is stored so, and said once where it is not") {
  const Menu dense = menu_of(open_model(in_source("demo/model")), {"NVFP4A16", "FP8_SOURCE", "BF16"});
  REQUIRE(!dense.units.empty());
  for (const MenuUnit& unit : dense.units) {
    REQUIRE(unit.options.size() == 2);
    CHECK(unit.options[0].format->name == "NVFP4A16");
    CHECK(unit.options[1].format->name == "BF16");
  }
  REQUIRE(dense.decisions.size() == 1);
  CHECK(dense.decisions[0].first == "FP8_SOURCE");
  CHECK(dense.decisions[0].second ==
        "is not legal for 12 of 12 units (model.layers.0.self_attn.q_proj: it is stored as BF16)");

  const TemporaryFolder folder;
  write_coded_llama(folder.file("fp8"), fp8_blocks, 256, block_coded);
  const OpenModel fp8 = open_model(folder.file("fp8"));
  const Menu coded = menu_of(fp8, {"NVFP4A16", "FP8_SOURCE", "BF16"});
  REQUIRE(coded.units.size() == 4);  // q/k/v, o, gate/up, down
  const MenuUnit& down = coded.units[3];
  REQUIRE(down.options.size() == 3);
  CHECK(down.options[1].format->name == "FP8_SOURCE");
  CHECK(!down.options[1].source);  // its inputs lose something
  CHECK(!down.options[1].encodes());
  CHECK(down.options[1].bytes == 128 * 256 + 4 * 2);  // a byte a weight, and 4 for each block of 128 x 128
  // Loaders read a single block of columns wrong, so that these 128 columns are no option.
  CHECK(coded.units[0].options.size() == 2);
  REQUIRE(coded.decisions.size() == 1);
  CHECK_THAT(coded.decisions[0].second, ContainsSubstring("is not legal for 3 of 4 units") && ContainsSubstring("128"));
  // Blocks of FP8 are there already: they are copied, whatever they are asked for as, and stand there once.
  const Menu twice = menu_of(fp8, {"FP8_BLOCK", "FP8_SOURCE", "NVFP4A16"});
  REQUIRE(twice.units.size() == 1);
  CHECK(twice.units[0].options.size() == 2);
  CHECK(twice.units[0].options[0].format->name == "FP8_SOURCE");
  CHECK(twice.single.size() == 3);
}

TEST_CASE("a unit with one legal format gets that, and one with none stops the run") {
  const TemporaryFolder folder;
  write_tiny_llama(folder.file("narrow"), {.inner = 200});  // columns of down_proj: no group of 16 or 32 divides them
  const OpenModel model = open_model(folder.file("narrow"));
  const Menu menu = menu_of(model, {"NVFP4A16", "MXFP8A16", "BF16"});
  CHECK(menu.units.size() == 3);
  REQUIRE(menu.single.size() == 1);
  CHECK(menu.single[0].members[0]->module == "model.layers.0.mlp.down_proj");
  CHECK(menu.single[0].options[0].format->name == "BF16");
  REQUIRE(menu.decisions.size() == 3);
  CHECK(menu.decisions[1].second ==
        "is not legal for 1 of 4 units (model.layers.0.mlp.down_proj: 200 columns do not "
        "divide by 32)");
  CHECK(menu.decisions[2].first == "BF16");
  const Error error = thrown_by([&] { menu_of(model, {"NVFP4A16", "MXFP8A16", "FP8_SOURCE"}); });
  CHECK(error.fault == Fault::usage);
  CHECK(
      std::string(error.what()) ==
      "model.layers.0.mlp.down_proj [128, 200]: no number format of the menu is legal for it (NVFP4A16: 200 columns "
      "do not divide by 16; MXFP8A16: 200 columns do not divide by 32; FP8_SOURCE: it is stored as BF16); add BF16 to "
      "--formats, or say --ignore model.layers.0.mlp.down_proj");
  const Menu ignored = menu_of(model, {"NVFP4A16", "MXFP8A16"}, {"*.down_proj"});
  CHECK(ignored.units.size() == 3);
  CHECK(ignored.single.empty());
}

TEST_CASE("formats that the runtime does not load are not legal, and transformers gets one for all experts") {
  const OpenModel model = open_model(in_source("demo/model"));
  const auto menu_for = [&](std::initializer_list<const char*> names, Runtime runtime, AssignmentRequest request = {}) {
    return plan_menu(model, request, {}, formats_of(names),
                     {.runtime = runtime, .any_runtime = request.allow_unservable});
  };
  const Menu vllm = menu_for({"NVFP4A16", "MXFP6A16", "BF16"}, Runtime::vllm);
  REQUIRE(vllm.units.size() == 12);
  for (const MenuUnit& unit : vllm.units) {
    CHECK(unit.options.size() == 2);
    CHECK(!unit.tied);
  }
  REQUIRE(vllm.decisions.size() == 1);
  CHECK_THAT(vllm.decisions[0].second,
             ContainsSubstring("12 of 12 units") && ContainsSubstring("vLLM does not load it"));
  CHECK(menu_for({"NVFP4A16", "MXFP6A16", "BF16"}, Runtime::vllm, {.allow_unservable = true}).units[0].options.size() ==
        3);

  const Menu one = menu_for({"NVFP4A16", "MXFP4A16", "BF16"}, Runtime::transformers);
  int tied = 0;
  for (const MenuUnit& unit : one.units) {
    const bool experts = unit.members.front()->module.find("experts") != std::string::npos;
    CHECK(unit.tied == experts);
    CHECK(unit.options.size() == (experts ? 2 : 3));  // it drops the global scales of NVFP4 experts
    tied += unit.tied ? 1 : 0;
  }
  CHECK(tied == 4);
  CHECK_THAT(thrown_by([&] {
               menu_for({"MXFP4A16", "BF16"}, Runtime::transformers, {.ignore = {"*layers.0.mlp.experts.*"}});
             }).what(),
             ContainsSubstring("--ignore *layers.0.mlp.experts.* leaves some of them out"));
  CHECK(menu_for({"MXFP4A16", "BF16"}, Runtime::transformers, {.ignore = {"*mlp.experts.*"}}).units.size() == 8);
}

TEST_CASE("formats that do not fit the part of each device are not legal") {
  const OpenModel model = open_model(in_source("demo/model"));  // 4 heads of 32, experts 128 wide
  const auto menu_for = [&](std::initializer_list<const char*> names, int devices) {
    return plan_menu(model, {}, {}, formats_of(names), {.tensor_parallel = devices});
  };
  CHECK(menu_for({"NVFP4A16", "W4A16_G64", "BF16"}, 2).units[2].options.size() == 3);
  const Menu four = menu_for({"NVFP4A16", "W4A16_G64", "BF16"}, 4);  // 32 columns of o and down
  REQUIRE(four.units.size() == 12);
  CHECK(four.units[0].options.size() == 3);  // q, k and v are cut by rows
  CHECK(four.units[1].options.size() == 2);
  CHECK(four.units[2].options.size() == 2);
  REQUIRE(four.decisions.size() == 1);
  CHECK(four.decisions[0].second ==
        "is not legal for 8 of 12 units (model.layers.0.self_attn.o_proj: 32 columns of each "
        "device do not divide by 64)");
  const Error error = thrown_by([&] { menu_for({"NVFP4A16", "BF16"}, 8); });
  CHECK(error.fault == Fault::usage);
  CHECK(
      std::string(error.what()) ==
      "model.layers.0.self_attn.q_proj [128, 128]: no number format of the menu is legal for it with --tp 8 (NVFP4A16: "
      "its 4 heads do not divide by 8; BF16: its 4 heads do not divide by 8); the largest that works is --tp 4");
  // W4A16 alone fits one device.
  CHECK_THAT(thrown_by([&] {
               menu_for({"W4A16", "FP8_SOURCE"}, 4);
             }).what(),
             ContainsSubstring("the largest that works is --tp 1"));
}
