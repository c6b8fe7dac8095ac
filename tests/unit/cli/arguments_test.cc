#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/option_text.h"
#include "cli/common_options.h"
#include "cli/parse_options.h"

namespace strata {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;
using Words = std::vector<std::string>;

struct Target {
  std::string model, output, mode = "all";
  Words patterns;
  std::int64_t window = 7;
  std::uint64_t memory = 0;
  bool force = false;
};

OptionSet option_set(Target& target) {
  OptionSet set;
  set.group("Options");
  set.positional("MODEL", "", target.model);
  set.text("-o,--output,--output-dir", "OUT", "", target.output);
  set.texts("--ignore", "PATTERN", "", target.patterns);
  set.count("--window", "", target.window);
  set.size("--max-memory", "", target.memory);
  set.choice("--part", {"all", "first"}, "", [&target](std::size_t i) { target.mode = i == 0 ? "all" : "first"; });
  set.flag("--force", "", target.force);
  return set;
}

Target parse(const Words& words, CommonOptions* common = nullptr) {
  Target target;
  CommonOptions unused;
  parse_options(common_option_set(common != nullptr ? *common : unused), option_set(target), words);
  return target;
}

std::string message_of(const Words& words) {
  try {
    parse(words);
  } catch (const Error& error) {
    CHECK(error.fault == Fault::usage);
    return error.what();
  }
  return "";
}

TEST_CASE("underscores in option names become dashes, values stay as they are") {
  const Words typed = {"--max_memory=1_0", "re:.*_proj", "-o", "a_b", "--seq_len", "--", "--not_an_option"};
  CHECK(normalize_arguments(typed) ==
        Words{"--max-memory=1_0", "re:.*_proj", "-o", "a_b", "--seq-len", "--", "--not_an_option"});
}

TEST_CASE("options are taken in every form that getopt knows, before and after the model") {
  for (const Words& words :
       {Words{"m", "-o", "out", "--window", "3"}, Words{"--window=3", "--output=out", "m"},
        Words{"-oout", "m", "--window", "3"}, Words{"--output_dir", "out", "--window=3", "--", "m"}}) {
    const Target target = parse(words);
    CHECK(target.model == "m");
    CHECK(target.output == "out");
    CHECK(target.window == 3);
  }
}

TEST_CASE("what is not given keeps its default") {
  const Target target = parse({"m"});
  CHECK(target.window == 7);
  CHECK(target.mode == "all");
  CHECK_FALSE(target.force);
}

TEST_CASE("repeatable options keep every value in order, brackets and commas included") {
  const Words patterns = {"re:.*[0-9],x", "[a,b]", "a=b"};
  CHECK(parse({"--ignore", patterns[0], "m", "--ignore=" + patterns[1], "--ignore", patterns[2]}).patterns == patterns);
}

TEST_CASE("sizes carry units and choices ignore case") {
  CHECK(parse({"--max-memory", "24GiB"}).memory == std::uint64_t{24} << 30);
  CHECK(parse({"--max_memory=5GB"}).memory == 5'000'000'000);
  CHECK(parse({"--part", "FIRST"}).mode == "first");
}

TEST_CASE("common options and short flags together") {
  CommonOptions common;
  parse({"-vq", "m", "--json", "--log-format=json", "--color", "never"}, &common);
  CHECK(common.verbose);
  CHECK(common.quiet);
  CHECK(common.json);
  CHECK(common.log_format == LogFormat::json);
  CHECK(common.color == ColorChoice::never);
}

TEST_CASE("an error in an option is reported in the form that was asked for") {
  CommonOptions common;
  CHECK_THROWS(parse({"--widnow", "3", "--log-format", "json"}, &common));
  CHECK(common.log_format == LogFormat::json);
}

TEST_CASE("a mistyped option is named with the one that was meant") {
  CHECK(message_of({"m", "--outptu", "x"}) == "--outptu: there is no such option (did you mean --output?)");
  CHECK(message_of({"--max_memroy=3", "m"}) == "--max-memroy: there is no such option (did you mean --max-memory?)");
  CHECK_THAT(message_of({"m", "-x"}), ContainsSubstring("-x: there is no such option"));
}

TEST_CASE("wrong values are named with their option") {
  CHECK(message_of({"--window", "0"}) == "--window: 0 is too small, it must be 1 or more");
  CHECK(message_of({"--window=-5"}) == "--window: -5 is too small, it must be 1 or more");
  CHECK(message_of({"--window", "2k"}) == "--window: '2k' is not a whole number");
  CHECK(message_of({"--window", "99999999999999999999"}) == "--window: '99999999999999999999' is not a whole number");
  CHECK_THAT(message_of({"--window", "9999999999999999"}), ContainsSubstring("too large"));
  CHECK_THAT(message_of({"--max-memory", "24Q"}), ContainsSubstring("--max-memory: '24Q' is not a size"));
  CHECK_THAT(message_of({"--max-memory", "0"}), ContainsSubstring("too small"));
  CHECK(message_of({"--part", "frist"}) == "--part: there is no 'frist' (did you mean first?)");
  CHECK(message_of({"--json=yes"}) == "--json: takes no value, but got 'yes'");
}

TEST_CASE("a missing value does not swallow the option after it") {
  CHECK(message_of({"m", "-o", "--force"}) == "--output: the value OUT is missing");
  CHECK(message_of({"m", "--window"}) == "--window: the value N is missing");
  CHECK(message_of({"--output=", "m"}) == "--output: the value OUT is missing");
}

TEST_CASE("what is given twice or too much is told") {
  CHECK(message_of({"m", "-o", "a", "--output-dir", "b"}) == "--output: given 2 times: a, b");
  CHECK_THAT(message_of({"m", "n"}), ContainsSubstring("n: one argument too many"));
}

TEST_CASE("times are hours, minutes and seconds or plain seconds") {
  const std::vector<std::pair<std::string, double>> good = {
      {"3h50m", 13800},    {"90s", 90},   {"600", 600},  {"1.5h", 5400}, {"2d", 172800},
      {"1d2h3m4s", 93784}, {"45m", 2700}, {"0h5m", 300}, {"0.25", 0.25}, {"1h0.5s", 3600.5}};
  for (const auto& [text, seconds] : good) {
    INFO(text);
    CHECK(parse_duration("--deadline", text) == seconds);
  }
}

TEST_CASE("what is no time is refused by the name of the option") {
  for (const std::string text : {"",    "h",    "soon", "3h50",  "50m3h",       "3h3h", "-5m", "3 h", "1e3",  "nan",
                                 "inf", "infs", "3x",   "1h-5m", "99999999999", "3H",   " 5",  "5 ",  "0x10", "+5"}) {
    INFO(text);
    CHECK_THROWS_MATCHES(parse_duration("--deadline", text), Error,
                         MessageMatches(ContainsSubstring("--deadline: '" + text)));
  }
  for (const std::string text : {"0", "0s", "0h0m"})
    CHECK_THROWS_MATCHES(parse_duration("--deadline", text), Error, MessageMatches(ContainsSubstring("too short")));
}

}  // namespace
}  // namespace strata
