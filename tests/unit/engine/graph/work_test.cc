#include "engine/graph/work.h"

#include <catch2/catch_test_macros.hpp>

using namespace strata;

TEST_CASE("work of one kind and size adds up, other sizes and formats are rows of their own") {
  WorkSheet sheet;
  sheet.multiply({.rows = 8, .out = 4, .in = 2}, 10);
  sheet.multiply({.rows = 8, .out = 4, .in = 2}, 5);
  sheet.multiply({.rows = 8, .out = 2, .in = 4}, 1);
  REQUIRE(sheet.rows().size() == 2);
  CHECK(sheet.rows()[0].amount == 2 * 15 * 8);
  CHECK(sheet.total(Effort::multiply) == 2 * 16 * 8);
  sheet.code(Effort::encode, &require_number_format("NVFP4"), 7);
  sheet.code(Effort::encode, &require_number_format("MXFP8"), 1);
  sheet.code(Effort::decode, nullptr, 3);
  CHECK(sheet.rows().size() == 5);
  CHECK(sheet.total(Effort::encode) == 8);
}

TEST_CASE("attention counts scores and what they weigh, of every key") {
  WorkSheet sheet;
  sheet.attend({.rows = 16, .out = 6, .in = 3}, 2);
  CHECK(sheet.total(Effort::attend) == 2 * 2 * 2 * 16 * 6);
}
