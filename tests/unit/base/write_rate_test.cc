#include "base/write_rate.h"

#include <catch2/catch_test_macros.hpp>

#include "base/file.h"
#include "tests/support/temporary_folder.h"

using namespace strata;

TEST_CASE("the rate of writing is measured and leaves nothing in the folder") {
  const test::TemporaryFolder folder;
  make_directory(folder.file("here"));
  const WriteRate rate = measure_write_rate(folder.file("here"));
  CHECK(rate.bytes_per_second > 1e5);
  CHECK(rate.seconds_a_sync > 0);
  CHECK(list_directory(folder.file("here")).empty());
}

TEST_CASE("a folder that is not there yet is measured where it would come to be") {
  const test::TemporaryFolder folder;
  CHECK(measure_write_rate(folder.file("out/deep")).bytes_per_second > 0);
  CHECK(!exists(folder.file("out")));
}

TEST_CASE("where no file can be, nothing is measured") {
  CHECK(measure_write_rate("/proc/self").bytes_per_second == 0);
}
