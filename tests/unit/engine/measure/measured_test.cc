// What is said of what was measured, and when it is refused.
#include "engine/measure/measured.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

MeasuredCandidate candidate(std::string name, std::uint64_t bytes, double kl, double p99) {
  return {.name = std::move(name),
          .bytes = bytes,
          .bits = static_cast<double>(bytes) / 100,
          .divergence = {.kl_mean = kl, .kl_se = kl / 10, .kl_p99 = p99, .tokens = 7}};
}

Measured measured(double chosen_p99) {
  Measured all{.tokens = "abc", .candidates = {candidate("as served", 470, 0.01, chosen_p99)}};
  for (MeasuredCandidate one : {candidate("small", 450, 0.03, 0.4), candidate("better", 460, 0.02, 0.5),
                                candidate("large", 800, 0.001, 0.01)}) {
    one.above_chosen = Paired{one.divergence.kl_mean - 0.01, 0.002};
    all.candidates.push_back(one);
  }
  all.candidates.push_back(
      {.name = "inputs only", .divergence = {.kl_mean = 0.001}, .above_chosen = Paired{-0.009, 0.1}});
  return all;
}

}  // namespace

TEST_CASE("a long tail is refused beside the best alternative of at most as many bytes") {
  require_tail(measured(0.5), false);  // no worse than "better", whose KL is the least of those that are small enough
  const Error error = thrown_by([] { require_tail(measured(0.51), false); });
  CHECK(error.fault == Fault::check);
  CHECK_THAT(error.what(), ContainsSubstring("off by 0.51 nats or more, but by 0.5 in better"));
  require_tail(measured(0.51), true);
}

TEST_CASE("lines say the bits of what has some, and what is above the chosen one by how much") {
  const std::vector<std::string> lines = measured_lines(measured(0.5));
  REQUIRE(lines.size() == 5);
  CHECK_THAT(lines[0], ContainsSubstring("as served: KL 0.01 +- 0.001 nats a token, p99 0.5"));
  CHECK_THAT(lines[0], ContainsSubstring("4.7000 bits per parameter"));
  CHECK_THAT(lines[0], ContainsSubstring("on 7 tokens"));
  CHECK_THAT(lines[1], ContainsSubstring("4.5000 bits per parameter; +0.02 +- 0.002 beside what was chosen"));
  CHECK_THAT(lines[4], !ContainsSubstring("bits"));
}

TEST_CASE("what is no number is null in measured.json") {
  Measured all = measured(0.5);
  all.candidates.front().divergence.kl_se = std::numeric_limits<double>::quiet_NaN();
  const nlohmann::json json = nlohmann::json::parse(measured_json(all));
  CHECK(json.at("candidates").at(0).at("kl_standard_error").is_null());
  CHECK(json.at("candidates").at(1).at("kl_above_chosen") == 0.03 - 0.01);
  CHECK(!json.at("candidates").at(4).contains("bytes"));
}
