// Units that no token reached: they leave the prices, and what they take is said.
#include "engine/prices/unseen.h"

#include <array>
#include <catch2/catch_test_macros.hpp>

#include "engine/prices/allocation_summary.h"
#include "tests/unit/engine/prices/made_prices.h"

using namespace strata;
using namespace strata::test;

TEST_CASE("a unit without tokens gets its smallest format by rule, and its bytes count apart") {
  // 562, 1031, 2000 bytes each, and 500 of others.
  Prices prices = made_prices({made_unit("a", 1, 0), made_unit("unseen", 0, 0), made_unit("c", 2, 0)});
  CHECK(set_unseen_aside(prices, std::array<char, 3>{0, 1, 0}) == std::vector<std::size_t>{0, 2});
  REQUIRE(prices.units.size() == 2);
  CHECK(prices.units[1].name == "c");
  CHECK(prices.parameters() == 2000);
  CHECK(prices.unseen_bytes == 562);
  CHECK(prices.other_bytes == 1062);
  CHECK(prices.linears[0].unit == 0);
  CHECK(prices.linears[1].unit == PricedLinear::not_chosen);
  CHECK(prices.linears[1].format->name == "NVFP4A16");
  CHECK(prices.linears[1].why == "no token of the data reached it: the smallest format by rule");
  CHECK(prices.linears[2].unit == 1);
  // Of 8 bits the two that are left have all, and the third is none of theirs.
  const Allocation chosen = allocate(prices, {.bits = 8});
  CHECK(chosen.option == std::vector<std::uint32_t>{0, 1});
  bool told = false;
  for (const auto& [key, value] : allocation_facts(prices, chosen, {.bits = 8}))
    told = told || (key == "of it without tokens" && value == "562");
  CHECK(told);

  Prices tied = made_prices({made_unit("a", 1, 0), made_unit("b", 0, 0)});
  tied.units[0].tied = tied.units[1].tied = true;
  CHECK(set_unseen_aside(tied, std::array<char, 2>{0, 1}).size() == 2);
  CHECK(tied.unseen_bytes == 0);
}

TEST_CASE("experts are named by their numbers, rows of them once") {
  std::vector<LinearSpec> linears;
  for (const int expert : {0, 3, 4, 5, 9})
    for (const char* const name : {"gate_proj", "up_proj", "down_proj"})
      linears.push_back({.module = "model.layers.2.mlp.experts." + std::to_string(expert) + "." + name});
  linears.push_back({.module = "model.layers.2.self_attn.o_proj"});
  std::vector<const LinearSpec*> all;
  for (const LinearSpec& linear : linears) all.push_back(&linear);
  CHECK(names_of_experts(all) == "model.layers.2.self_attn.o_proj, model.layers.2.mlp.experts 0, 3-5, 9");
  CHECK(names_of_experts(std::span(all).first(1)) == "model.layers.2.mlp.experts 0");
}
