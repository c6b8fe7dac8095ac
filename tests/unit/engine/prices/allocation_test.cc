// Choices by made-up prices: what is asked is met from below, and what cannot be met is said.
#include "engine/prices/allocation.h"

#include <algorithm>
#include <array>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>

#include "engine/plan/menu.h"
#include "engine/plan/output_plan.h"
#include "engine/prices/allocation_summary.h"
#include "engine/prices/calibration_length.h"
#include "engine/prices/frontier.h"
#include "engine/prices/list_units.h"
#include "engine/prices/price_tables.h"
#include "tests/support/source_folder.h"
#include "tests/support/thrown.h"
#include "tests/unit/engine/prices/made_prices.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

using Chosen = std::vector<std::uint32_t>;

std::string said_of(const Prices& prices, const MixedRequest& asked) {
  const Error error = thrown_by([&] { allocate(prices, asked); });
  CHECK(error.fault == Fault::usage);
  return error.what();
}

}  // namespace

TEST_CASE("bits count the units, bytes all tensors; both are met from below") {
  // 562, 1031, 2000 bytes each; the first one costs ten times as much.
  const Prices prices = made_prices({made_unit("a", 10, 1), made_unit("b", 1, 0.2)});
  const Allocation eight = allocate(prices, {.bits = 8});
  CHECK(eight.budget == 2000);
  CHECK(eight.option == Chosen{1, 0});
  CHECK(eight.bytes == 1593);
  CHECK(eight.cost == Approx(2));
  CHECK(eight.standard_error == Approx(std::sqrt(0.1 * 0.1 + 0.2 * 0.2)));
  CHECK(eight.gap == 0);
  const Allocation sized = allocate(prices, {.size = 2500});  // 500 of them are others'
  CHECK(sized.budget == 2000);
  CHECK(sized.option == eight.option);
  CHECK(allocate(prices, {.size = 3531}).option == Chosen{2, 1});
  CHECK(allocate(prices, {.size = 3530}).option == Chosen{2, 0});
  CHECK(allocate(prices, {.bits = 16}).option == Chosen{2, 2});
}

TEST_CASE("tied units get one option, and the best one for both") {
  // 562, 1031, 2000 bytes each.
  Prices prices = made_prices({made_unit("a", 10, 1), made_unit("b", 1, 0.2), made_unit("c", 5, 0)});
  CHECK(allocate(prices, {.bits = 6.5}).option == Chosen{1, 0, 0});  // of 2437 bytes; another step takes 469
  prices.units[0].tied = prices.units[2].tied = true;
  CHECK(prices.choices() == std::vector<std::vector<std::size_t>>{{0, 2}, {1}});
  CHECK(prices.smallest() == 3 * 562);
  CHECK(allocate(prices, {.bits = 6.5}).option == Chosen{0, 1, 0});
  CHECK(allocate(prices, {.bits = 7}).option == Chosen{1, 0, 1});  // 2624 of 2625 bytes
  // The smallest of each is another one: together they take what is least for both.
  prices.units[0].options[0].bytes = 3000;
  CHECK(prices.smallest() == 2 * 1031 + 562);
}

TEST_CASE("risk counts standard errors, and needs them") {
  Prices prices = made_prices({made_unit("sure", 1.0, 0.01), made_unit("unsure", 0.9, 0.5)});
  CHECK(allocate(prices, {.bits = 7}).option == Chosen{1, 0});
  const Allocation careful = allocate(prices, {.bits = 7, .risk = 1});
  CHECK(careful.option == Chosen{0, 1});
  CHECK(careful.cost == Approx(1.09));  // what is predicted has no risk in it
  prices.units[0].options[0].output.standard_error = std::numeric_limits<double>::infinity();
  CHECK(std::isinf(allocate(prices, {.bits = 4.5}).standard_error));
  const Error error = thrown_by([&] { allocate(prices, {.bits = 7, .risk = 1}); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("--risk 1: the prices of sure have no standard error"));
}

TEST_CASE("another price may choose, and what is predicted stays that of the output") {
  Prices prices = made_prices({made_unit("a", 10, 1), made_unit("b", 1, 0.2)});
  for (PricedUnit& unit : prices.units)
    for (PricedOption& option : unit.options)
      option.fisher_trace = {option.output.cost * (unit.name == "b" ? 100 : 1), option.output.cost};
  const Allocation by_trace = allocate(prices, {.bits = 8, .price = PriceRule::fisher_trace});
  CHECK(by_trace.option == Chosen{0, 1});
  CHECK(by_trace.cost == Approx(10.1));
  CHECK(most_sensitive(prices, PriceRule::fisher_trace).front() == 1);
  CHECK(frontier(prices, {8, 8, 1}, {.price = PriceRule::fisher_trace}).front().allocation.option == by_trace.option);
  CHECK(short_calibration(prices, by_trace, PriceRule::fisher_trace).has_value());
  CHECK_FALSE(short_calibration(prices, by_trace, PriceRule::output));
}

TEST_CASE("a budget below the smallest is refused with one that works, and the units that force it") {
  const Prices prices = made_prices(
      {made_unit("small", 1, 0, 100), made_unit("a", 1, 0), made_unit("b", 1, 0, 3000), made_unit("c", 1, 0, 2000)});
  const std::string sized = said_of(prices, {.size = 600});
  CHECK_THAT(sized, ContainsSubstring("b (1687), c (1125), a (562)") && ContainsSubstring("; say --target-size 3930"));
  CHECK(allocate(prices, {.size = 3930}).option == Chosen{0, 0, 0, 0});
  CHECK_THAT(said_of(prices, {.size = 3929}), ContainsSubstring("say --target-size 3930"));
  CHECK_THAT(said_of(prices, {.size = 1}), ContainsSubstring("NVFP4A16,MXFP8A16,BF16 give is 3930 bytes of tensors"));
  const std::string bits = said_of(prices, {.bits = 4});
  CHECK_THAT(bits, ContainsSubstring("most bytes for b (1687), c (1125), a (562); say -b 4.499"));
  Prices odd = made_prices({made_unit("a", 1, 0, 2000)});
  odd.units[0].options[0].bytes = 1001;  // 4.004 bits, which as a number is a little less
  const std::string said = said_of(odd, {.bits = 4});
  CHECK_NOTHROW(allocate(odd, {.bits = std::stod(said.substr(said.rfind(' ')))}));
}

TEST_CASE("a frontier has a choice for every budget of the range, and says what changes") {
  const Prices prices = made_prices({made_unit("a", 10, 1), made_unit("b", 1, 0.2)});
  const std::vector<FrontierPoint> points = frontier(prices, parse_bit_range("--pareto", "4.5:16:3.5"), {});
  REQUIRE(points.size() == 4);
  const std::array<Chosen, 4> expected = {Chosen{0, 0}, {1, 0}, {2, 0}, {2, 1}};
  const std::array<std::size_t, 4> changes = {0, 1, 1, 1};
  for (std::size_t i = 0; i < points.size(); ++i) {
    INFO(i);
    CHECK(points[i].bits == Approx(4.5 + 3.5 * static_cast<double>(i)));
    CHECK(points[i].allocation.option == expected[i]);
    CHECK(points[i].changes == changes[i]);
    CHECK(points[i].allocation.option == allocate(prices, {.bits = points[i].bits}).option);
  }
  CHECK(parse_bit_range("--pareto", "4.25:6:0.25").bits().size() == 8);
  CHECK(parse_bit_range("--pareto", "4.2:4.5:0.1").bits().size() == 4);  // 0.1 is no binary number
  CHECK(parse_bit_range("--pareto", "5:5:1").bits() == std::vector<double>{5});
  for (const char* const wrong : {"", "4:6", "4:6:1:1", "6:4:1", "4:6:0", "4:6:1e-9", "x:6:1", "4::1", "0:6:1"}) {
    INFO(wrong);
    CHECK_THAT(thrown_by([&] { parse_bit_range("--pareto", wrong); }).what(), ContainsSubstring("--pareto: "));
  }
  CHECK_THAT(thrown_by([&] { frontier(prices, {4, 6, 1}, {}); }).what(), ContainsSubstring("say a LOW of 4.496"));

  const std::string table = pareto_csv(prices, points, PriceRule::output), print = prices.made_from.hash();
  CHECK_THAT(table, ContainsSubstring("\n8,6.372000,1593,2093,2,0.224,0,1,,,,,output," + print + "\n"));
  CHECK_THAT(costs_csv(prices, points[1].allocation),
             ContainsSubstring("\na,1,MXFP8A16,1031,1,0.1,0,0,0,yes," + print + "\n") &&
                 ContainsSubstring("\nb,1,MXFP8A16,1031,0.1,0.02,0,0,0,," + print + "\n"));
}

TEST_CASE("what is said of a choice") {
  Prices prices =
      made_prices({made_unit("model.layers.0.mlp.up_proj", 1, 0), made_unit("model.layers.1.mlp.up_proj", 3, 0),
                   made_unit("model.layers.0.self_attn.o_proj", 2, 0)});
  const Allocation chosen = allocate(prices, {.bits = 6});
  CHECK(chosen.option == Chosen{0, 1, 0});
  const std::vector<KindFormats> kinds = formats_by_kind(prices, chosen);
  REQUIRE(kinds.size() == 3);
  CHECK(kinds[0].kind == "attention");
  CHECK(kinds[1].formats.size() == 2);
  CHECK(kinds[2].kind == "head");
  CHECK(most_sensitive(prices, PriceRule::output) == std::vector<std::size_t>{1, 2, 0});
  CHECK(most_sensitive(prices, PriceRule::output, 1) == std::vector<std::size_t>{1});
  const auto facts = allocation_facts(prices, chosen, {.bits = 6});
  const auto fact = [&](std::string_view key) {
    const auto found = std::ranges::find(facts, key, &std::pair<std::string, std::string>::first);
    return found == facts.end() ? "none" : found->second;
  };
  CHECK(fact("bits asked") == "6");
  CHECK(fact("budget of the units") == "2250");
  CHECK(fact("bytes of the units") == "2155");
  CHECK(fact("tensor bytes") == "2655");
  CHECK(fact("mlp Linears") == "NVFP4A16 1, MXFP8A16 1");
  CHECK(fact("sensitive 1") == "model.layers.1.mlp.up_proj: 3 in NVFP4A16, is MXFP8A16");
  CHECK(allocation_facts(prices, chosen, {.size = 7}).front().first == "tensor bytes asked");
  CHECK_THAT(
      assignment_json(prices, chosen),
      ContainsSubstring("\"prices\": \"" + prices.made_from.hash()) &&
          ContainsSubstring("    \"model.layers.1.mlp.up_proj\": {\"format\": \"MXFP8A16\", \"unit\": "
                            "\"model.layers.1.mlp.up_proj\", \"cost\": 0.3") &&
          ContainsSubstring("    \"lm_head\": {\"format\": \"KEEP\", \"why\": \"kept unless it is asked for\"}\n  }"));
}

TEST_CASE("too few windows are told with how many would do") {
  // 6 % of the bytes are known to no better than their whole price: a half of it takes four times the windows.
  Prices prices = made_prices({made_unit("known", 1, 0.1, 9400), made_unit("noise", 1, 1, 600)});
  const Allocation least = allocate(prices, {.bits = 4.6});
  const std::optional<ShortCalibration> found = short_calibration(prices, least, PriceRule::output);
  REQUIRE(found.has_value());
  CHECK(found->units == 1);
  CHECK(found->share == Approx(0.06).epsilon(0.01));
  CHECK(found->needed == 40);
  CHECK_THAT(found->text(), ContainsSubstring("10 windows are too few") && ContainsSubstring("--nsamples 40 would do"));
  prices.units[1].options[0].output.standard_error = 0.6;
  CHECK(short_calibration(prices, least, PriceRule::output)->needed == 15);  // 1.44 times, rounded up
  prices.units[1].options[0].output.standard_error = 0.5;
  CHECK_FALSE(short_calibration(prices, least, PriceRule::output));
  prices = made_prices({made_unit("known", 1, 0.1, 9600), made_unit("noise", 1, 1, 400)});
  CHECK_FALSE(short_calibration(prices, allocate(prices, {.bits = 4.6}), PriceRule::output));
  // The worst one alone may stay: the second has to be known better.
  prices =
      made_prices({made_unit("known", 1, 0.1, 9200), made_unit("noise", 1, 1, 400), made_unit("more", 1, 0.6, 400)});
  CHECK(short_calibration(prices, allocate(prices, {.bits = 4.6}), PriceRule::output)->needed == 15);
  prices = made_prices({made_unit("single", 1, std::numeric_limits<double>::infinity())});
  CHECK(short_calibration(prices, allocate(prices, {.bits = 4.6}), PriceRule::output)->needed == 11);  // who knows
}

TEST_CASE("units of a model, why others are none, and the bytes of both make an output") {
  for (const char* const folder : {"demo/model", "tests/golden/models/llama-bias", "tests/golden/models/llama-tied"}) {
    INFO(folder);
    const OpenModel model = open_model(in_source(folder));
    AssignmentRequest request{.scheme = "NVFP4A16",
                              .ignore = {"*.0.*o_proj"},
                              .overrides = {{"*.1.*o_proj", "MXFP8A16"}},
                              .allow_unservable = true};
    const std::array<const NumberFormat*, 2> formats = {&require_number_format("NVFP4A16"),
                                                        &require_number_format("BF16")};
    const Menu menu = plan_menu(model, request, {}, formats);
    const Assignment assignment = assign_formats(model, request);
    const Prices prices = list_units(model, menu, request, assignment);
    std::uint64_t chosen = 0;
    for (const PricedUnit& unit : prices.units) chosen += unit.options.front().bytes;  // all in the scheme
    CHECK(prices.other_bytes + chosen == plan_output(model, assignment, 100'000).tensor_bytes);
    CHECK(prices.linears.size() == model.linears.size());
    const auto linear = [&](std::string_view module) -> const PricedLinear& {
      return *std::ranges::find(prices.linears, module, &PricedLinear::module);
    };
    CHECK(linear("model.layers.0.self_attn.o_proj").why == "--ignore *.0.*o_proj");
    CHECK(linear("model.layers.1.self_attn.o_proj").why == "--override *.1.*o_proj=MXFP8A16");
    CHECK(linear("model.layers.1.self_attn.o_proj").format->name == "MXFP8A16");
    CHECK(prices.units.at(linear("model.layers.1.self_attn.v_proj").unit).name == "model.layers.1.self_attn.q_proj");
    CHECK(prices.units.front().kind == "attention");
    for (std::size_t u = 0; u < prices.units.size(); ++u)
      CHECK(static_cast<std::size_t>(std::ranges::count(prices.linears, u, &PricedLinear::unit)) ==
            prices.units[u].linears);
  }
}
