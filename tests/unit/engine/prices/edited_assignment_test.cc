// What an edited assignment comes to by made-up prices, and what an edit may not do.
#include "engine/prices/edited_assignment.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>

#include "base/file.h"
#include "engine/prices/allocation_summary.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/unit/engine/prices/made_prices.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

// Two units; the first has a second member.
Prices two_units() {
  Prices prices = made_prices({made_unit("a.q", 10, 1), made_unit("b.o", 1, 0.2)});
  prices.units[0].linears = 2;
  prices.linears.insert(prices.linears.begin() + 1, PricedLinear{.module = "a.k", .unit = 0});
  return prices;
}

AssignmentFile file_of(const std::string& linears) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.json");
  write_text(path, "{\n\"version\": 1, \"linears\": {\n" + linears + "}}");
  return AssignmentFile::read(path);
}

std::string one(const std::string& module, const std::string& format) {
  return "\"" + module + "\": {\"format\": \"" + format + "\"}";
}

std::string linears(const std::string& q, const std::string& k, const std::string& o) {
  return one("a.q", q) + ",\n" + one("a.k", k) + ",\n" + one("b.o", o);
}

std::string said_of(const Prices& prices, const std::string& text) {
  const Error error = thrown_by([&] { edited_allocation(prices, file_of(text)); });
  CHECK(error.fault == Fault::input);
  return error.what();
}

}  // namespace

TEST_CASE("an edit has the bytes and the cost of its options") {
  const Prices prices = two_units();
  const Allocation mine = edited_allocation(prices, file_of(linears("MXFP8A16", "MXFP8A16", "NVFP4A16")));
  CHECK(mine.option == std::vector<std::uint32_t>{1, 0});
  CHECK(mine.bytes == 1031 + 562);
  CHECK(mine.budget == mine.bytes);
  CHECK(mine.cost == Approx(2));
  CHECK(mine.standard_error == Approx(std::hypot(0.1, 0.2)));
  CHECK(mine.gap == 0);
  // What a run writes reads back as what it chose.
  const Allocation chosen = allocate(prices, {.bits = 8});
  const TemporaryFolder folder;
  write_text(folder.file("a.json"), assignment_json(prices, chosen));
  const Allocation again = edited_allocation(prices, AssignmentFile::read(folder.file("a.json")));
  CHECK(again.option == chosen.option);
  CHECK(again.cost == chosen.cost);
  CHECK(again.bytes == chosen.bytes);
  // Without a budget there is none to tell.
  const auto facts = allocation_facts(prices, mine, {});
  CHECK(facts.front() == std::pair<std::string, std::string>("bits reached", "6.372000"));
  for (const auto& [key, value] : facts) CHECK(key != "gap to the best");
}

TEST_CASE("BF16 is the source itself where that is what it is called") {
  Prices prices = two_units();
  for (PricedUnit& unit : prices.units) unit.options[2].format = &require_number_format("KEEP");
  CHECK(edited_allocation(prices, file_of(linears("BF16", "KEEP", "KEEP"))).option == std::vector<std::uint32_t>{2, 2});
}

TEST_CASE("an edit that cannot be is told with its line") {
  const Prices prices = two_units();
  const std::string good = linears("BF16", "BF16", "BF16");
  const std::string split = said_of(prices, linears("BF16", "NVFP4A16", "BF16"));
  CHECK_THAT(split, ContainsSubstring("a.json:4: a.k is NVFP4A16 but a.q is BF16; they are served as one matrix, give "
                                      "all 2 of their unit one format"));
  CHECK_THAT(said_of(prices, good + ",\n" + one("a.v", "BF16")),
             ContainsSubstring("a.json:6: a.v is none of the 4 Linears that were priced"));
  CHECK_THAT(said_of(prices, linears("BF16", "BF16", "W4A16")),
             ContainsSubstring("a.json:5: b.o cannot be W4A16") && ContainsSubstring("NVFP4A16, MXFP8A16, BF16"));
  CHECK_THAT(said_of(prices, one("a.q", "BF16")),
             ContainsSubstring("a.json: leaves out 2 Linears that are chosen for (a.k is the first)"));
  CHECK_THAT(
      said_of(prices, good + "," + one("lm_head", "NVFP4A16")),
      ContainsSubstring("lm_head is KEEP in the run that priced it (kept unless it is asked for), not NVFP4A16"));
  CHECK_NOTHROW(edited_allocation(prices, file_of(good + "," + one("lm_head", "BF16"))));
  // The first in the file is told.
  CHECK_THAT(said_of(prices, one("x", "BF16") + "," + one("w", "BF16") + "," + good),
             ContainsSubstring("a.json:3: x is none"));
}
