// What tokenizer.json may say and what is refused; regular expressions; behaviours; long words.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "formats/tokenizer/merge_word.h"
#include "formats/tokenizer/normalizer.h"
#include "formats/tokenizer/regex.h"
#include "formats/tokenizer/split.h"
#include "formats/tokenizer/tokenizer.h"
#include "formats/tokenizer/unicode.h"
#include "tests/support/temporary_folder.h"

using namespace strata;
using namespace strata::tokenizer;
using Catch::Matchers::ContainsSubstring;

namespace {

// A tokenizer of the letters a, b and c with two merges; `extra` goes to the top level, `model` into it.
std::string tokenizer_json(const std::string& extra, const std::string& model = "") {
  return R"({"version":"1.0",)" + extra + R"("model":{"type":"BPE",)" + model +
         R"("vocab":{"a":0,"b":1,"c":2,"ab":3,"abc":4},"merges":["a b",["ab","c"]]}})";
}

Tokenizer load(const std::string& json) {
  const test::TemporaryFolder folder;
  write_text(folder.file("tokenizer.json"), json);
  return Tokenizer::load(folder.file("tokenizer.json"));
}

std::string error_of(const std::string& json) {
  try {
    load(json);
  } catch (const Error& error) {
    CHECK(error.fault == Fault::input);
    return error.what();
  }
  return "no error";
}

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  const Regex regex(pattern, "test");
  std::vector<std::string> found;
  for (Matches match(regex, text); match.next();)
    found.push_back(text.substr(match.begin(), match.end() - match.begin()));
  return found;
}

// The definition: again and again the merge of lowest rank, leftmost first.
void merge_slowly(std::vector<std::int32_t>& symbols, const MergeTable& merges) {
  while (true) {
    std::size_t best = symbols.size();
    MergeTable::Merge found;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
      if (const auto merge = merges.find(symbols[i], symbols[i + 1]); merge.rank < found.rank) {
        found = merge;
        best = i;
      }
    if (best == symbols.size()) return;
    symbols[best] = found.token;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

TEST_CASE("merges may be strings or pairs") {
  CHECK(load(tokenizer_json("")).encode("abcab", false) == std::vector<TokenId>{4, 3});
}

TEST_CASE("whatever is unknown in tokenizer.json is named") {
  CHECK_THAT(error_of(tokenizer_json(R"("magic":1,)")), ContainsSubstring("\"magic\" is not known"));
  CHECK_THAT(error_of(tokenizer_json(R"("normalizer":{"type":"Precompiled"},)")),
             ContainsSubstring("normalizer Precompiled"));
  CHECK_THAT(
      error_of(tokenizer_json(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Punctuation"}]},)")),
      ContainsSubstring("pre_tokenizer.pretokenizers[0]: pre-tokenizer Punctuation"));
  CHECK_THAT(error_of(tokenizer_json(R"("post_processor":{"type":"BertProcessing"},)")),
             ContainsSubstring("BertProcessing"));
  CHECK_THAT(error_of(tokenizer_json("", R"("dropout":0.1,)")), ContainsSubstring("model.dropout is 0.1"));
  CHECK_THAT(error_of(tokenizer_json("", R"("end_of_word_suffix":"</w>",)")), ContainsSubstring("end_of_word_suffix"));
  CHECK_THAT(error_of(R"({"model":{"type":"Unigram"}})"), ContainsSubstring("type Unigram"));
  CHECK_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a z"]}})"),
             ContainsSubstring("token z is not in the vocabulary"));
  CHECK_THAT(error_of("{"), ContainsSubstring("broken JSON"));
}

TEST_CASE("text that is not UTF-8 is an error with the byte offset") {
  const Tokenizer tokenizer = load(tokenizer_json(""));
  for (const std::string bad : {"ab\xFF", "ab\xC3", "ab\xED\xA0\x80", "ab\xC0\x80", "ab\xF4\x90\x80\x80"})
    CHECK_THROWS_WITH(tokenizer.encode(bad, false), ContainsSubstring("byte 2 is not valid UTF-8"));
}

TEST_CASE("a small tokenizer.json cannot fill the memory or the stack") {
  const auto steps = [](const char* outer, const char* list, const std::string& step, int count) {
    std::string json = fmt::format(R"("{}":{{"type":"Sequence","{}":[)", outer, list);
    for (int i = 0; i < count; ++i) json.append(i > 0 ? "," : "").append(step);
    return tokenizer_json(json + "]},");
  };
  const std::string doubling = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  const Tokenizer doubles = load(steps("normalizer", "normalizers", doubling, 40));
  CHECK_THROWS_WITH(doubles.encode("a", false), ContainsSubstring("replacements make more than 65600 bytes"));
  const std::string expression = R"({"type":"Replace","pattern":{"Regex":"a"},"content":"aa"})";
  CHECK_THROWS_WITH(load(steps("normalizer", "normalizers", expression, 40)).encode("a", false),
                    ContainsSubstring("replacements make more than"));
  CHECK(load(steps("normalizer", "normalizers", doubling, 3)).encode("a", false).size() == 8);

  CHECK_THAT(error_of(steps("normalizer", "normalizers", R"({"type":"NFC"})", 65)), ContainsSubstring("has 65 steps"));
  const std::string bytes = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})";
  CHECK_THAT(error_of(steps("pre_tokenizer", "pretokenizers", bytes, 40)), ContainsSubstring("has 40 ByteLevel steps"));
  CHECK_THAT(error_of(steps("pre_tokenizer", "pretokenizers", R"({"type":"WhitespaceSplit"})", 200000)),
             ContainsSubstring("has 200000 steps, at most 64"));
}

TEST_CASE("the vocabulary counts added tokens, which are found by their text") {
  const std::string flags = R"("single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true)";
  const Tokenizer tokenizer = load(tokenizer_json(R"("added_tokens":[{"id":5,"content":"<e>",)" + flags + "}],"));
  CHECK(tokenizer.vocabulary_size() == 6);
  CHECK(tokenizer.id_of("<e>") == 5);
  CHECK(tokenizer.id_of("abc") == 4);
  CHECK_FALSE(tokenizer.id_of("x"));
  CHECK(tokenizer.encode("ab<e>c", false) == std::vector<TokenId>{3, 5, 2});
}

TEST_CASE("expressions mean what they mean to Oniguruma") {
  CHECK(matches(R"(\d{1,3}+)", "1234567a") == std::vector<std::string>{"1234567"});
  CHECK(matches(R"(a{,2})", "aab") == std::vector<std::string>{"aa", ""});
  CHECK(matches(R"(\s)", "\xE1\xA0\x8E\xC2\x85") == std::vector<std::string>{"\xC2\x85"});  // not U+180E
  CHECK(matches(R"(\w+)", "e\xCC\x81_x\xE2\x82\x80") == std::vector<std::string>{"e\xCC\x81_x"});
  CHECK(matches(R"(\h+)", "xbe4 ") == std::vector<std::string>{"be4"});
  CHECK(matches(R"(^a)", "a\na") == std::vector<std::string>{"a", "a"});
  CHECK(matches(R"(\p{L})", "\xF0\xB1\x8D\x90").size() == 1);  // U+31350, of Unicode 15
  CHECK(matches(R"(\p{Han})", "\xE3\x80\x81\xE6\xB0\xB4") == std::vector<std::string>{"\xE6\xB0\xB4"});  // not U+3001
  CHECK(matches(R"(x*)", "axb") == std::vector<std::string>{"", "x", ""});
}

TEST_CASE("expressions that PCRE2 would read in another way are refused by name") {
  for (const std::string bad :
       {R"(\R)", R"(\b)", R"([a&&b])", R"([[:alpha:]])", R"(a{2}?)", R"((?m:.))", R"(\p{Greek})", R"((?i:st))",
        R"((?<n>a))", R"([\P{L}])", R"(\xe9)", R"([a)", R"(a))"}) {
    INFO(bad);
    CHECK_THROWS_WITH(to_pcre2(bad, "here"), ContainsSubstring("is not supported") && ContainsSubstring("here"));
  }
  CHECK_THROWS_AS(Regex("(a", "here"), Error);
}

TEST_CASE("every behaviour cuts The-final--countdown as Hugging Face documents it") {
  const auto cut = [](Behavior behavior) {
    std::vector<std::string> parts;
    const Split split{Regex::literal("-"), behavior, false};
    split_by_regex(split, {"The-final--countdown", true}, [&](Piece piece) { parts.emplace_back(piece.text); });
    return parts;
  };
  using Parts = std::vector<std::string>;
  CHECK(cut(Behavior::removed) == Parts{"The", "final", "countdown"});
  CHECK(cut(Behavior::isolated) == Parts{"The", "-", "final", "-", "-", "countdown"});
  CHECK(cut(Behavior::merged_with_previous) == Parts{"The-", "final-", "-", "countdown"});
  CHECK(cut(Behavior::merged_with_next) == Parts{"The", "-final", "-", "-countdown"});
  CHECK(cut(Behavior::contiguous) == Parts{"The", "-", "final", "--", "countdown"});
}

TEST_CASE("words of any length merge by the definition") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    MergeTable merges(40);
    for (std::uint32_t rank = 0; rank < 40; ++rank)
      merges.add(static_cast<std::int32_t>(random() % (4 + rank)), static_cast<std::int32_t>(random() % (4 + rank)),
                 {rank, static_cast<std::int32_t>(4 + rank)});
    std::vector<std::int32_t> symbols(random() % 120);
    for (std::int32_t& symbol : symbols) symbol = static_cast<std::int32_t>(random() % 4);
    std::vector<std::int32_t> wanted = symbols;
    merge_slowly(wanted, merges);
    merge_symbols(symbols, merges);
    REQUIRE(symbols == wanted);
  }
}

TEST_CASE("a word of a megabyte is not quadratic") {
  const std::vector<TokenId> ids = load(tokenizer_json("")).encode(std::string(1 << 20, 'a') + "b", false);
  REQUIRE(ids.size() == 1 << 20);
  CHECK(ids.back() == 3);
}

TEST_CASE("normal forms move and compose only what Unicode 11 knew") {
  std::string out;
  CHECK(to_unicode_form("e\xCC\x81", UnicodeForm::nfc, out));
  CHECK(out == "\xC3\xA9");
  for (const std::string still :
       {"a\xE0\xA2\x98\xCC\xB4", "a\xE0\xA2\x98\xCC\x81", "\xF0\x91\xA4\xB8"})  // U+0898, U+11938
    for (const UnicodeForm form : {UnicodeForm::nfc, UnicodeForm::nfd, UnicodeForm::nfkc, UnicodeForm::nfkd})
      CHECK((!to_unicode_form(still, form, out) || out == still));
}
