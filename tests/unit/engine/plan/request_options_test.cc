#include "engine/plan/request_options.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <map>
#include <set>

#include "base/option_text.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::StartsWith;

namespace {

const RequestOption& option(std::string_view name) {
  for (const RequestOption& row : request_options())
    if (spoken_name(row.names) == name) return row;
  FAIL("there is no option " << name);
  return request_options().front();
}

// What is in the request when nothing but this was said, as text.
std::string told(std::string_view name, const std::string& text) {
  QuantizeRequest request;
  option(name).set(request, name, text);
  return option(name).text(request);
}

// A value that is not what holds without it, for each option that takes one.
const std::map<std::string_view, std::string> values = {{"MODEL", "m"},
                                                        {"--model", "m"},
                                                        {"--output", "out"},
                                                        {"--work-dir", "work"},
                                                        {"--shard-size", "7"},
                                                        {"--scheme", "W4A16"},
                                                        {"--assignment", "a"},
                                                        {"--method", "rtn"},
                                                        {"--parity", "compressed-tensors"},
                                                        {"--ignore", "*.q"},
                                                        {"--kv-cache", "fp8"},
                                                        {"--override", "*.k=FP8_DYNAMIC"},
                                                        {"--dataset", "d"},
                                                        {"--part", "second"},
                                                        {"--nsamples", "9"},
                                                        {"--seqlen", "64"},
                                                        {"--boundary", "bf16"},
                                                        {"--heldout", "h"},
                                                        {"--heldout-tokens", "99"},
                                                        {"--store", "none"},
                                                        {"--from", "w"},
                                                        {"--max-memory", "auto"},
                                                        {"--disk", "4096"},
                                                        {"--io", "direct"},
                                                        {"--device", "cuda:1"},
                                                        {"--threads", "3"},
                                                        {"--resume", "never"},
                                                        {"--deadline", "90"},
                                                        {"--trace", "t.json"},
                                                        {"--share", "2/3"},
                                                        {"--bits", "4.75"},
                                                        {"--target-size", "5000000"},
                                                        {"--pareto", "4.5:6:0.25"},
                                                        {"--polish", "5"},
                                                        {"--risk", "1.5"},
                                                        {"--price", "fisher-trace"},
                                                        {"--probes", "3"},
                                                        {"--runtime", "transformers"},
                                                        {"--tp", "4"},
                                                        {"--flip-tokens", "77"},
                                                        {"--max-source-ppl", "12.5"},
                                                        {"--formats", "NVFP4,MXFP8,BF16"}};

}  // namespace

TEST_CASE("what is said of an option is what the request says of it, and nothing else changes") {
  for (const RequestOption& row : request_options()) {
    const std::string name = spoken_name(row.names);
    INFO(name);
    REQUIRE((row.value.empty() && row.names.starts_with('-')) != values.contains(name));
    const std::string value = values.contains(name) ? values.at(name) : "yes";
    QuantizeRequest request;
    CHECK(row.text(request) != value);
    row.set(request, name, value);
    CHECK(row.text(request) == value);
    for (const RequestOption& other : request_options())
      if (other.text != row.text && !(name == "--parity" && other.names == "--method"))
        CHECK(other.text(request) == other.text(QuantizeRequest()));
  }
}

TEST_CASE("what the help calls a default is what holds when nothing is said") {
  for (const RequestOption& row : request_options()) {
    INFO(row.names);
    // Where it is in words, or follows from another option.
    const std::set<std::string_view> in_words = {"OUT.work", "all free", "all cores",     "no limit",
                                                 "none",     "off",      "vocabulary^0.8"};
    if (row.fallback.empty() || in_words.contains(row.fallback)) continue;
    QuantizeRequest request;
    row.set(request, row.names, std::string(row.fallback));
    CHECK(row.text(request) == row.text(QuantizeRequest()));
  }
}

TEST_CASE("names and recipe keys are given once") {
  std::set<std::string> names;
  std::set<std::string_view> recipes;
  for (const RequestOption& row : request_options()) {
    for (const std::string& name : split_names(row.names)) CHECK(names.insert(name).second);
    if (!row.recipe.empty()) CHECK(recipes.insert(row.recipe).second);
  }
}

TEST_CASE("values of a repeatable option are added up, those of another are read in one way") {
  QuantizeRequest request;
  for (const char* pattern : {"*.q", "re:a b"}) option("--ignore").set(request, "--ignore", pattern);
  CHECK(option("--ignore").text(request) == "*.q re:a b");
  CHECK(told("--max-memory", "2KiB") == "2048");
  CHECK(told("--override", "*.k=w4a16") == "*.k=W4A16");
  CHECK(told("--io", "DIRECT") == "direct");
  CHECK(told("--deadline", "1h1m") == "3660");
  CHECK(told("--model", "folder//") == "folder");
}

TEST_CASE("a value that is none is refused with the option's name") {
  const std::multimap<std::string_view, std::string> wrong = {
      {"--nsamples", "0"}, {"--seqlen", "two"},    {"--disk", "4GX"},          {"--io", "disk"},  {"--deadline", "1x"},
      {"--scheme", ""},    {"--override", "a=b"},  {"--threads", "-1"},        {"--bits", "0.5"}, {"--risk", "-1"},
      {"--risk", "nan"},   {"--target-size", "0"}, {"--max-source-ppl", "0.5"}};
  for (const auto& row : wrong) {
    const std::string_view name = row.first;
    INFO(name);
    const Error error = test::thrown_by([&] { told(row.first, row.second); });
    CHECK(error.fault == Fault::usage);
    CHECK_THAT(error.what(), StartsWith(std::string(name) + ": "));
  }
}
