#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/kernels/minifloat.h"
#include "tests/support/naive_formats.h"
#include "tests/support/source_folder.h"

using namespace strata;

namespace {

const std::string tables = test::in_source("../shared/fixtures/golden/cuda13_tables/");

std::string table(const std::string& name) {
  if (!exists(tables + name)) SKIP("needs ../shared/fixtures");
  return read_text(tables + name);
}

std::uint32_t hex(const std::string& text) { return static_cast<std::uint32_t>(std::stoul(text, nullptr, 16)); }

std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
  }
  return rows;
}

// E2M1 has no NaN.
void check_sixteen_bits(const std::string& source, float (*value)(std::uint16_t)) {
  const std::string e4m3 = table("enc_" + source + "_fp8_e4m3fn.u8"), e2m1 = table("enc_" + source + "_fp4_e2m1.u8");
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float x = value(static_cast<std::uint16_t>(bits));
    wrong += encode_e4m3(x) != static_cast<std::uint8_t>(e4m3[bits]);
    if (x == x) wrong += encode_e2m1(x) != static_cast<std::uint8_t>(e2m1[bits]);
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("every bfloat16 value has the E4M3 and E2M1 code of CUDA 13") { check_sixteen_bits("bf16", from_bf16_bits); }

TEST_CASE("every float16 value has the E4M3 and E2M1 code of CUDA 13") { check_sixteen_bits("f16", from_f16_bits); }

TEST_CASE("float32 values at every rounding boundary have the code of CUDA 13") {
  int wrong = 0;
  const auto rows = rows_of(table("enc_f32.csv"));
  REQUIRE(rows.size() > 1000);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const float x = std::bit_cast<float>(hex(rows[i][0]));
    wrong += encode_e4m3(x) != hex(rows[i][1]);
    if (x == x) wrong += encode_e2m1(x) != hex(rows[i][7]);
  }
  CHECK(wrong == 0);
}

TEST_CASE("E4M3 and E2M1 codes decode as in CUDA 13") {
  int seen = 0;
  for (const auto& row : rows_of(table("decode_tables.csv"))) {
    if (row[0] == "fp8_e4m3fn" && row[3] != "nan" && hex(row[1]) % 128 != 127) {
      CHECK(std::bit_cast<std::uint32_t>(decode_e4m3(static_cast<std::uint8_t>(hex(row[1])))) == hex(row[2]));
      ++seen;
    }
    if (row[0] == "fp4_e2m1") {
      CHECK(std::bit_cast<std::uint32_t>(decode_e2m1(static_cast<std::uint8_t>(hex(row[1])))) == hex(row[2]));
      ++seen;
    }
  }
  CHECK(seen == 254 + 16);
}

TEST_CASE("E4M3 rounds to the nearest value, ties to even, and saturates") {
  const std::pair<float, int> cases[] = {
      {0.0f, 0x00},    {0x1p-10f, 0x00}, {0x1.0007p-10f, 0x01}, {0x1p-9f, 0x01}, {0x3p-10f, 0x02}, {0x5p-10f, 0x02},
      {0x1p-6f, 0x08}, {0.125f, 0x20},   {1.0f, 0x38},          {1.0625f, 0x38}, {1.1875f, 0x3a},  {1.3125f, 0x3a},
      {17.0f, 0x58},   {18.0f, 0x59},    {19.0f, 0x5a},         {416.0f, 0x7d},  {432.0f, 0x7e},   {440.0f, 0x7e},
      {448.0f, 0x7e},  {464.0f, 0x7e},   {1e9f, 0x7e},          {-1.0f, 0xb8},   {-0.0f, 0x80},    {-1e9f, 0xfe}};
  for (const auto& [x, code] : cases) CHECK(encode_e4m3(x) == code);
  CHECK(encode_e4m3(std::numeric_limits<float>::quiet_NaN()) == 0x7f);
  CHECK(encode_e4m3(std::numeric_limits<float>::infinity()) == 0x7e);
  CHECK(std::isnan(decode_e4m3(0x7f)));
  CHECK(std::isnan(decode_e4m3(0xff)));
}

TEST_CASE("E2M1 rounds to the nearest value, ties to even, and saturates") {
  const std::pair<float, float> cases[] = {{.25f, 0}, {.75f, 1},  {1.25f, 1}, {1.75f, 2}, {2.5f, 2},    {3.5f, 4},
                                           {5, 4},    {.3f, .5f}, {.6f, .5f}, {.9f, 1},   {1.3f, 1.5f}, {1.8f, 2},
                                           {2.7f, 3}, {4.5f, 4},  {7, 6},     {5.01f, 6}, {1e30f, 6}};
  for (const auto& [x, value] : cases) {
    CHECK(decode_e2m1(encode_e2m1(x)) == value);
    CHECK(decode_e2m1(encode_e2m1(-x)) == -value);
  }
  for (std::uint8_t code = 1; code < 16; ++code)
    if (code != 8) CHECK(encode_e2m1(decode_e2m1(code)) == code);
}

TEST_CASE("E2M1 keeps the sign of zero") {
  CHECK(encode_e2m1(0.0f) == 0);
  CHECK(encode_e2m1(-0.0f) == 8);
  CHECK(encode_e2m1(-1e-30f) == 8);
}

TEST_CASE("the codes equal those of a search over all values") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 9973) {  // all exponents, no pattern in the mantissas
    const float x = std::bit_cast<float>(bits);
    wrong += encode_e4m3(x) != test::naive_e4m3(x);
    wrong += encode_e4m3(-x) != test::naive_e4m3(-x);
    wrong += encode_e2m1(x) != test::naive_e2m1(x);
    wrong += encode_e2m1(-x) != test::naive_e2m1(-x);
  }
  CHECK(wrong == 0);
}
