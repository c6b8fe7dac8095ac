// Tokens that the files of a folder declare, and the classes that bring rules of their own. The ids are those that
// tests/oracle/tokenizer_folders_test.py sees transformers give to such folders.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "formats/text/text_notices.h"
#include "formats/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using test::thrown_by;

namespace {

using Ids = std::vector<TokenId>;

// Tokens a, b, < and > of the vocabulary, and the added token <e>, number 4.
struct Folder : test::TemporaryFolder {
  Folder() { write("tokenizer.json", tokenizer()); }
  static std::string tokenizer(const std::string& more = "") {
    return R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "<": 2, ">": 3}, "merges": []}, "added_tokens": [)"
           R"({"id": 4, "content": "<e>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, )"
           R"("special": true}])" +
           more + "}";
  }
  void write(const std::string& name, const std::string& json) const { write_text(file(name), json); }
  Tokenizer load() const { return Tokenizer::of_folder(path()); }
  Ids ids(const std::string& text) const { return load().encode(text, false); }
  std::string error() const {
    const Error error = thrown_by([&] { load(); });
    CHECK(error.fault == Fault::input);
    return error.what();
  }
};

std::string token(const std::string& content, const std::string& more = "") {
  return R"({"content": ")" + content + "\"" + more + "}";
}

}  // namespace

TEST_CASE("a token counts whatever file declares it, and is numbered after those that are there") {
  const std::string text = "a<a>b<b>";
  const Ids with_a = {0, 5, 1, 2, 1, 3}, with_both = {0, 5, 1, 6}, with_none = {0, 2, 0, 3, 1, 2, 1, 3};
  CHECK(Folder().ids(text) == with_none);
  for (const char* settings :
       {R"({"extra_special_tokens": ["<a>", "<a>"]})", R"({"additional_special_tokens": ["<a>"]})",
        R"({"extra_special_tokens": {"image_token": "<a>"}})", R"({"image_token": "<a>", "eos_token": "<e>"})",
        R"({"mask_token": {"__type": "AddedToken", "content": "<a>"}})",
        R"({"model_specific_special_tokens": {"x": "<a>"}})",
        R"({"added_tokens_decoder": {"5": {"content": "<a>"}, "4": {"content": "<e>", "special": true}}})"}) {
    CAPTURE(settings);
    const Folder folder;
    folder.write("tokenizer_config.json", settings);
    CHECK(folder.ids(text) == with_a);
  }
  const Folder older;
  older.write("added_tokens.json", R"({"<b>": 6, "<a>": 5})");
  CHECK(older.ids(text) == with_both);
  const Folder map;
  map.write("special_tokens_map.json", R"({"pad_token": {"content": "<a>"}, "additional_special_tokens": ["<b>"]})");
  CHECK(map.ids(text) == with_both);
}

TEST_CASE("where tokenizer_config.json numbers tokens, the older files are not read") {
  const Folder folder;
  folder.write("tokenizer_config.json",
               R"({"eos_token": "<e>", "added_tokens_decoder": {"4": )" + token("<e>", R"(, "special": true)") + "}}");
  folder.write("special_tokens_map.json", R"({"eos_token": "<a>"})");
  folder.write("added_tokens.json", R"({"<b>": 5})");
  CHECK(folder.ids("<a><b>") == Ids{2, 0, 3, 2, 1, 3});
  CHECK(folder.load().special_tokens().at("eos_token") == "<e>");
  folder.write("tokenizer_config.json", R"({"eos_token": "<e>"})");
  CHECK(folder.load().special_tokens().at("eos_token") == "<a>");  // now the map wins
}

TEST_CASE("a number beyond 64 bits, as model_max_length often is, is no error") {
  const Folder folder;
  folder.write("tokenizer_config.json",
               R"({"model_max_length": 1000000000000000019884624838656, "eos_token": "12345678901234567890\"<a>"})");
  CHECK(folder.load().special_tokens().at("eos_token") == "12345678901234567890\"<a>");
}

TEST_CASE("extra tokens win over additional ones, be they none") {
  const Folder folder;
  folder.write("tokenizer_config.json", R"({"additional_special_tokens": ["<a>"], "extra_special_tokens": []})");
  CHECK(folder.ids("<a>") == Ids{2, 0, 3});
}

TEST_CASE("a later declaration changes how a token is found, not its id") {
  const Folder folder;
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"4": )" + token("<e>", R"(, "special": true, "single_word": true)") + "}}");
  CHECK(folder.ids("<e>") == Ids{4});
  CHECK(folder.ids("a<e>").size() == 3);  // no word of its own: a < >, and e has no token
}

TEST_CASE("an id that transformers would not give is refused with both") {
  const Folder folder;
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {"9": )" + token("<a>") + "}}");
  CHECK_THAT(folder.error(),
             ContainsSubstring("tokenizer_config.json: added_tokens_decoder.9: says that token <a> has id 9, "
                               "but transformers gives it 5") &&
                 ContainsSubstring(".safetensors"));
  folder.write("tokenizer_config.json", "{}");
  folder.write("added_tokens.json", R"({"b": 7})");
  CHECK_THAT(folder.error(),
             ContainsSubstring("added_tokens.json: b: says that token b has id 7, but transformers gives it 1"));
}

TEST_CASE("what transformers does not load, or reads by rules that are not known, is refused by its key") {
  const Folder folder;
  const auto error = [&](const std::string& settings) {
    folder.write("tokenizer_config.json", settings);
    return folder.error();
  };
  CHECK_THAT(error(R"({"bos_token": {"content": "<a>"}})"),
             ContainsSubstring("bos_token is") && ContainsSubstring("__type"));
  CHECK_THAT(error(R"({"bos_token": 7})"), ContainsSubstring("bos_token is 7"));
  CHECK_THAT(error(R"({"extra_special_tokens": [7]})"), ContainsSubstring("extra_special_tokens[0] is 7"));
  CHECK_THAT(error(R"({"added_tokens_decoder": {"x": {"content": "<a>"}}})"),
             ContainsSubstring("\"x\" is not a token id"));
  CHECK_THAT(error(R"({"eos_token": "<a>", "eos_token": "<b>"})"), ContainsSubstring("\"eos_token\" stands twice"));
  CHECK_THAT(error(R"({"split_special_tokens": true})"), ContainsSubstring("split_special_tokens is true"));
  CHECK_THAT(error(R"({"fix_mistral_regex": true})"), ContainsSubstring("fix_mistral_regex is true"));
  CHECK_THAT(error(R"({"fast_tokenizer_files": ["tokenizer.4.0.0.json"]})"), ContainsSubstring("tokenizer.4.0.0.json"));
  CHECK_THAT(error(R"({"tokenizer_class": "CohereTokenizerFast"})"),
             ContainsSubstring("tokenizer_class CohereTokenizerFast") && ContainsSubstring(".safetensors"));
  CHECK_THAT(error(R"({"auto_map": {"AutoTokenizer": ["x.X", null]}})"), ContainsSubstring("auto_map"));
  CHECK_THAT(error(R"({"added_tokens_decoder": {"4": {"content": "<e>", "normalized": true}}})"),
             ContainsSubstring("token <e> is declared with normalized true"));
  CHECK_THAT(error("{"), ContainsSubstring("tokenizer_config.json: broken JSON"));
}

TEST_CASE("a class with rules of its own takes only vocabulary, merges and post-processor from the file") {
  const Folder folder;
  const std::string blank = "\xE2\x96\x81";
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, ")" + blank +
                                     R"(": 2, "<unk>": 3, "<s>": 4, "</s>": 5},
                  "merges": [], "unk_token": "<unk>"}, "added_tokens": [], "normalizer": {"type": "Prepend", "prepend": "b"}})");
  CHECK(folder.ids("a a") == Ids{1, 0, 3, 0});  // as the file says: a b before it, no token for a space
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizerFast"})");
  CHECK(folder.ids("a a") == Ids{2, 0, 2, 0});
  CHECK(folder.ids(" a") == Ids{2, 0});
  CHECK(folder.ids("<s>a") == Ids{4, 0});  // the class names <s>, and a blank stands before the text only
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "legacy": true})");
  CHECK(folder.ids("<s>a") == Ids{4, 2, 0});
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": false})");
  CHECK(folder.ids("a a") == Ids{0, 2, 0});
  CHECK(folder.load().special_tokens().at("eos_token") == "</s>");
  // The type of the model may know better than the class that is named.
  folder.write("config.json", R"({"model_type": "mistral"})");
  CHECK(folder.ids("a") == Ids{1, 0});
}

TEST_CASE("truncation and padding are ignored, and named where text is read") {
  const Folder folder;
  folder.write("tokenizer.json",
               Folder::tokenizer(R"(, "truncation": {"max_length": 1}, "padding": {"strategy": {"Fixed": 9}})"));
  CHECK(folder.load().encode("ab", false) == Ids{0, 1});
  const auto notices = text_notices(folder.path(), "d.jsonl");
  REQUIRE(notices.size() == 2);
  CHECK(notices[0].first == "tokenizer.json: truncation");
  CHECK(notices[1].first == "tokenizer.json: padding");
  CHECK_THAT(notices[0].second, ContainsSubstring("is ignored") && ContainsSubstring("cut long texts"));
  CHECK(text_notices(folder.path(), "ids.safetensors").empty());
  folder.write("tokenizer.json", Folder::tokenizer(R"(, "truncation": null)"));
  CHECK(text_notices(folder.path(), "d.txt").empty());
}

TEST_CASE("the padding of tokenizer.json names a token where no other file does") {
  const Folder folder;
  folder.write("tokenizer.json", Folder::tokenizer(R"(, "padding": {"strategy": "BatchLongest", "direction": "Right",)"
                                                   R"( "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,)"
                                                   R"( "pad_token": "ab"})"));
  CHECK(folder.ids("ab") == Ids{5});
  folder.write("tokenizer_config.json", R"({"pad_token": null})");
  CHECK(folder.ids("ab") == Ids{0, 1});
}

TEST_CASE("a file of bytes is not read by the rules of a class of characters, nor the other way round") {
  const std::string bytes = R"(, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel",)"
                            R"( "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]})";
  const std::string characters = R"(, "pre_tokenizer": {"type": "Split", "pattern": {"String": " "},)"
                                 R"( "behavior": "Isolated", "invert": false})";
  const auto folder = [](const std::string& words, const std::string& type, Folder& made) {
    made.write("tokenizer.json", Folder::tokenizer(words));
    made.write("tokenizer_config.json", R"({"tokenizer_class": ")" + type + "\"}");
  };
  for (const auto& [words, type] : {std::pair(bytes, "LlamaTokenizerFast"), std::pair(characters, "Qwen2Tokenizer")}) {
    CAPTURE(type);
    Folder made;
    folder(words, type, made);
    CHECK_THAT(made.error(), ContainsSubstring("loses text") && ContainsSubstring("PreTrainedTokenizerFast"));
  }
  for (const auto& [words, type] : {std::pair(bytes, "Qwen2Tokenizer"), std::pair(characters, "LlamaTokenizerFast"),
                                    std::pair(bytes, "PreTrainedTokenizerFast")}) {
    CAPTURE(type);
    Folder made;
    folder(words, type, made);
    CHECK(made.ids("ab") == Ids{0, 1});
  }
}
