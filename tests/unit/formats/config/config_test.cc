#include "formats/config/config.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using strata::test::thrown_by;

namespace {

Config parse(std::string_view json) { return Config::parse(json, "config.json"); }

std::string message(const std::function<void()>& action) {
  const Error error = thrown_by(action);
  CHECK(error.fault == Fault::input);
  CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
  return error.what();
}

}  // namespace

TEST_CASE("typed getters read what is there") {
  const Config config = parse(R"({"hidden_size": 1024, "rms_norm_eps": 1e-6, "tie_word_embeddings": true,
    "model_type": "qwen3", "architectures": ["A", "B"], "mlp_only_layers": [0, 2], "rope_theta": 1000000,
    "negative": -5, "largest": 9223372036854775807, "nothing": null})");
  CHECK(config.integer("hidden_size") == 1024);
  CHECK(config.number("rms_norm_eps") == 1e-6);
  CHECK(config.number("rope_theta") == 1e6);  // written as an integer
  CHECK(config.boolean("tie_word_embeddings"));
  CHECK(config.text("model_type") == "qwen3");
  CHECK(config.texts("architectures") == std::vector<std::string>{"A", "B"});
  CHECK(config.integers("mlp_only_layers") == std::vector<std::int64_t>{0, 2});
  CHECK(config.integer("negative") == -5);
  CHECK(config.integer("largest") == INT64_MAX);
  CHECK_FALSE(config.has("nothing"));
  CHECK_FALSE(config.has("absent"));
  CHECK(config.keys().size() == 10);
  CHECK(config.keys()[0] == "hidden_size");
  CHECK(config.dump("architectures") == R"(["A","B"])");
  CHECK(config.dump("nothing") == "null");
}

TEST_CASE("a missing or null key takes the default, a mistyped one never") {
  const Config config = parse(R"({"null": null, "text": "x", "number": 2})");
  CHECK(config.integer_or("absent", 7) == 7);
  CHECK(config.integer_or("null", 7) == 7);
  CHECK(config.integer_or("number", 7) == 2);
  CHECK(config.number_or("absent", 0.5) == 0.5);
  CHECK(config.boolean_or("absent", true));
  CHECK(config.text_or("absent", "z") == "z");
  CHECK_THAT(message([&] { config.integer_or("text", 7); }), ContainsSubstring("text is \"x\", expected an integer"));
}

TEST_CASE("errors name the file, the key and the bad value") {
  const Config config =
      parse(R"({"a": "abc", "b": 1.5, "c": true, "d": [1, "x"], "e": {"f": 0}, "g": 9223372036854775808,
    "h": 1e3, "i": 18446744073709551616})");
  CHECK(message([&] { config.integer("z"); }) == "config.json: z is missing");
  CHECK(message([&] { config.integer("a"); }) == "config.json: a is \"abc\", expected an integer");
  CHECK(message([&] { config.integer("b"); }) == "config.json: b is 1.5, expected an integer");
  CHECK(message([&] { config.integer("c"); }) == "config.json: c is true, expected an integer");
  CHECK(message([&] { config.integer("g"); }) == "config.json: g is 9223372036854775808, expected an integer");
  CHECK_THAT(message([&] { config.integer("h"); }), ContainsSubstring("expected an integer"));
  CHECK_THAT(message([&] { config.integer("i"); }), ContainsSubstring("expected an integer"));
  CHECK(message([&] { config.number("a"); }) == "config.json: a is \"abc\", expected a number");
  CHECK(message([&] { config.boolean("b"); }) == "config.json: b is 1.5, expected true or false");
  CHECK(message([&] { config.text("b"); }) == "config.json: b is 1.5, expected a string");
  CHECK(message([&] { config.integers("d"); }) == "config.json: d[1] is \"x\", expected an integer");
  CHECK(message([&] { config.texts("a"); }) == "config.json: a is \"abc\", expected an array of strings");
  CHECK(message([&] { config.section("a"); }) == "config.json: a is \"abc\", expected an object");
  CHECK(message([&] { config.section("e").text("f"); }) == "config.json: e: f is 0, expected a string");
  CHECK(message([&] { config.section("e").text("g"); }) == "config.json: e: g is missing");
}

TEST_CASE("a long bad value is cut") {
  const Config config = parse("{\"a\": \"" + std::string(10000, 'x') + "\"}");
  CHECK(message([&] { config.integer("a"); }).size() < 200);
}

TEST_CASE("a section lives longer than the config it came from") {
  const Config inner = parse(R"({"text_config": {"hidden_size": 5}})").section("text_config");
  CHECK(inner.integer("hidden_size") == 5);
  CHECK(inner.path() == "config.json: text_config");
}

TEST_CASE("the text model's config is text_config where it exists") {
  CHECK(text_config(parse(R"({"hidden_size": 1, "text_config": {"hidden_size": 2}})")).integer("hidden_size") == 2);
  CHECK(text_config(parse(R"({"hidden_size": 1})")).integer("hidden_size") == 1);
}

TEST_CASE("what is not strict JSON is broken") {
  for (const char* text :
       {"", "{", "{\"a\": NaN}", "{\"a\": Infinity}", "{\"a\": -Infinity}", "{} // comment", "{\"a\": 1,}", "{'a': 1}",
        "{\"a\": 01}", "{\"a\": 1e999}", "{\"a\": \"\n\"}", "{\"a\": \"\xff\"}", "{}{}", "{\"a\" 1}"}) {
    CAPTURE(text);
    CHECK_THAT(message([&] { parse(text); }), ContainsSubstring("config.json: broken JSON"));
  }
  CHECK_THAT(message([&] { parse("{\"a\": NaN}"); }), ContainsSubstring("at byte 7"));
  for (const char* text : {"[]", "1", "\"x\"", "null"})
    CHECK_THAT(message([&] { parse(text); }), ContainsSubstring("expected a JSON object"));
}

TEST_CASE("a key that stands twice in one object is an error") {
  CHECK_THAT(message([&] { parse(R"({"a": 1, "b": 2, "a": 3})"); }), ContainsSubstring("key \"a\" stands twice"));
  CHECK_THAT(message([&] { parse(R"({"x": {"a": 1, "a": 2}})"); }), ContainsSubstring("key \"a\" stands twice"));
  CHECK(parse(R"({"x": {"a": 1}, "y": {"a": 2}, "a": [{"a": 1}, {"a": 2}]})").section("y").integer("a") == 2);
}

TEST_CASE("nesting without end does not exhaust the stack") {
  CHECK_THAT(message([&] { parse("{\"a\":" + std::string(1'000'000, '[') + "}"); }),
             ContainsSubstring("nested deeper"));
}

TEST_CASE("a config is loaded from a file and names it") {
  const test::TemporaryFolder folder;
  write_text(folder.file("config.json"), R"({"a": 1})");
  CHECK(Config::load(folder.file("config.json")).integer("a") == 1);
  CHECK_THAT(message([&] { Config::load(folder.file("config.json")).integer("b"); }),
             ContainsSubstring(folder.file("config.json") + ": b is missing"));
  CHECK_THAT(message([&] { Config::load(folder.file("absent.json")); }), ContainsSubstring("absent.json"));
}
