#include "base/suggest.h"

#include <catch2/catch_test_macros.hpp>
#include <vector>

using namespace strata;

TEST_CASE("the nearest word is suggested, without regard to case") {
  const std::vector<std::string> words = {"NVFP4", "NVFP4A16", "W4A16", "FP8_DYNAMIC"};
  CHECK(suggest("nvpf4", words) == " (did you mean NVFP4?)");
  CHECK(suggest("w4a61", words) == " (did you mean W4A16?)");
  CHECK(suggest("fp8-dynamic", words) == " (did you mean FP8_DYNAMIC?)");
  CHECK(suggest("nvfp4a16", words) == " (did you mean NVFP4A16?)");
}

TEST_CASE("when nothing is near, all words are listed") {
  const std::vector<std::string> words = {"alpha", "beta"};
  CHECK(suggest("zzzzzzz", words) == " (one of alpha, beta)");
  CHECK(suggest("x", {}) == "");
  CHECK(nearest("zzzzzzz", words) == std::nullopt);
  CHECK(did_you_mean("zzzzzzz", words).empty());
}
