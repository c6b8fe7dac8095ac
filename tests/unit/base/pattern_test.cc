#include "base/pattern.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/support/thrown.h"

using namespace strata;

TEST_CASE("a pattern without a wildcard is the exact name") {
  const Pattern pattern("model.layers.0.mlp");
  CHECK(pattern.matches("model.layers.0.mlp"));
  CHECK_FALSE(pattern.matches("model.layers.0.mlp.gate"));
  CHECK_FALSE(pattern.matches("xmodel.layers.0.mlp"));
  CHECK_FALSE(pattern.matches("model_layers.0.mlp"));  // a dot is a dot
}

TEST_CASE("a glob covers the whole name") {
  CHECK(Pattern("*.down_proj").matches("model.layers.0.mlp.down_proj"));
  CHECK_FALSE(Pattern("*.down_proj").matches("model.layers.0.mlp.down_proj.x"));
  CHECK(Pattern("*lm_head*").matches("lm_head"));
  CHECK(Pattern("layers.?.x").matches("layers.7.x"));
  CHECK_FALSE(Pattern("layers.?.x").matches("layers.17.x"));
  CHECK(Pattern("a(b)[c]{d}^$|+\\").matches("a(b)[c]{d}^$|+\\"));
  CHECK_FALSE(Pattern("a").matches("a\n"));
  CHECK(Pattern("").matches(""));
}

TEST_CASE("a regular expression matches from the start as Python's re.match does") {
  CHECK(Pattern("re:.*self_attn").matches("model.layers.0.self_attn.q_proj"));
  CHECK(Pattern("re:model").matches("model.x"));
  CHECK_FALSE(Pattern("re:self_attn").matches("model.self_attn"));
  CHECK(Pattern("re:a$").matches("a"));
  CHECK_FALSE(Pattern("re:a$").matches("ab"));
  CHECK(Pattern("re:(?:x|y)[0-9]+$").matches("y12"));
  CHECK(Pattern("re:a|b").matches("b"));
}

TEST_CASE("a broken expression is a usage error with its position") {
  const Error error = test::thrown_by([] { Pattern("re:a(b"); });
  CHECK(error.fault == Fault::usage);
  CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("pattern 're:a(b'") &&
                               Catch::Matchers::ContainsSubstring("at character 3"));
}

TEST_CASE("an expression that would run for ages gives up") {
  const Pattern pattern("re:(a+)+(a+)+(a+)+$");
  CHECK(test::thrown_by([&] { (void)pattern.matches(std::string(300, 'a') + "b"); }).fault == Fault::usage);
}
