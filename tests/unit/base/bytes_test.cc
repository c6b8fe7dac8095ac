#include "base/bytes.h"

#include <catch2/catch_test_macros.hpp>
#include <limits>

using namespace strata;

namespace {
constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
}

TEST_CASE("sums and products that overflow have no value") {
  CHECK(checked_add(largest - 1, 1) == largest);
  CHECK_FALSE(checked_add(largest, 1));
  CHECK(checked_mul(largest, 1) == largest);
  CHECK(checked_mul(largest, 0) == 0u);
  CHECK(checked_mul(0xffffffff, 0x100000001) == largest);
  CHECK_FALSE(checked_mul(0x100000000, 0x100000000));
}

TEST_CASE("align_up gives the next multiple") {
  CHECK(align_up(0, 8) == 0);
  CHECK(align_up(1, 8) == 8);
  CHECK(align_up(8, 8) == 8);
  CHECK(align_up(9, 8) == 16);
  CHECK(align_up(10, 3) == 12);
}

TEST_CASE("sizes are shown in binary units with three digits") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1024) == "1.00 KiB");
  CHECK(human_bytes(1536) == "1.50 KiB");
  CHECK(human_bytes(10 * 1024) == "10.0 KiB");
  CHECK(human_bytes(100 * 1024) == "100 KiB");
  CHECK(human_bytes(1024 * 1024 - 1) == "1.00 MiB");  // never "1024 KiB"
  CHECK(human_bytes(std::uint64_t{3} << 30) == "3.00 GiB");
  CHECK(human_bytes(largest) == "16384 PiB");
}

TEST_CASE("sizes are read as people write them") {
  CHECK(parse_bytes("4096") == 4096u);
  CHECK(parse_bytes("24G") == 24'000'000'000u);
  CHECK(parse_bytes("5GB") == 5'000'000'000u);
  CHECK(parse_bytes("5 GB") == 5'000'000'000u);
  CHECK(parse_bytes("5gb") == 5'000'000'000u);
  CHECK(parse_bytes("512MB") == 512'000'000u);
  CHECK(parse_bytes("100GiB") == std::uint64_t{100} << 30);
  CHECK(parse_bytes("1Ki") == 1024u);
  CHECK(parse_bytes("1.5KiB") == 1536u);
  CHECK(parse_bytes("2TiB") == std::uint64_t{2} << 40);
  CHECK(parse_bytes("0") == 0u);
  CHECK(parse_bytes("7B") == 7u);
  CHECK(parse_bytes("8.2GB") == 8'200'000'000u);  // 8.2 * 1e9 falls just below
}

TEST_CASE("what is not a size is not read") {
  for (const char* text : {"", "G", "GB", "-1", "-1G", "nan", "inf", "5X", "5GBB", "5 G B", "1e30", "99999999999G",
                           "0x10", "5Gi B", "five"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_bytes(text));
  }
}
