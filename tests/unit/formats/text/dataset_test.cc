// From files of texts, chats and ids to windows of ids, and what is said when that cannot be.
#include "formats/text/dataset.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/error.h"
#include "base/file.h"
#include "formats/text/documents.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

// A model whose tokens are the letters a to e and <e>, the end of text.
class Folder : public test::TemporaryFolder {
 public:
  Folder() {
    write_text(
        file("tokenizer.json"),
        R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"d":3,"e":4,"\n":5,"\u00e9":6},"merges":[]},
                   "added_tokens":[{"id":7,"content":"<e>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
                                   {"id":8,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
                   "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
                     "pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[8],"tokens":["<s>"]}}}})");
    write_text(file("tokenizer_config.json"), R"({"eos_token":"<e>"})");
  }

  DatasetOptions dataset(const std::string& name, const std::string& text) const {
    write_text(file(name), text);
    return {.file = file(name), .model_directory = path(), .chat_renderer = test::in_source("scripts/render_chat.py")};
  }
};

std::vector<std::vector<TokenId>> rows_of(const TokenRows& rows) {
  std::vector<std::vector<TokenId>> out;
  for (std::int64_t i = 0; i < rows.rows; ++i)
    out.emplace_back(rows.row(i), rows.row(i) + rows.lengths[static_cast<std::size_t>(i)]);
  return out;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.fault == Fault::input);
    return error.what();
  }
  return "no error";
}

using Rows = std::vector<std::vector<TokenId>>;

}  // namespace

TEST_CASE("each document ends with the end of text, windows run across documents") {
  const Folder folder;
  const DatasetOptions data = folder.dataset("d.jsonl", "{\"text\":\"abc\"}\r\n\n{\"text\":\"d\"}\n{\"text\":\"\"}");
  CHECK(rows_of(token_documents(data)) == Rows{{0, 1, 2, 7}, {3, 7}, {7}});
  CHECK(rows_of(token_windows(data, {.count = 2, .length = 3})) == Rows{{0, 1, 2}, {7, 3, 7}});
  CHECK(rows_of(token_windows(data, {.count = 2, .length = 3, .extra = 1})) == Rows{{0, 1, 2, 7}, {7, 3, 7, 7}});
}

TEST_CASE("the end of text is looked for in both settings files and is 0 when neither names it") {
  const Folder folder;
  const DatasetOptions data = folder.dataset("d.jsonl", "{\"text\":\"b\"}");
  write_text(folder.file("tokenizer_config.json"), "{}");
  CHECK(rows_of(token_documents(data)) == Rows{{1, 0}});
  write_text(folder.file("special_tokens_map.json"), R"({"eos_token":{"content":"<s>"}})");
  CHECK(rows_of(token_documents(data)) == Rows{{1, 8}});
  write_text(folder.file("tokenizer_config.json"),
             R"({"eos_token":"<e>"})");  // the other file wins, as for transformers
  CHECK(rows_of(token_documents(data)) == Rows{{1, 8}});
  write_text(folder.file("special_tokens_map.json"), R"({"eos_token":"<x>"})");
  CHECK(rows_of(token_documents(data)) == Rows{{1, 9}});  // a token more, after those of the vocabulary
}

TEST_CASE("plain text is one document without an end, its line ends are those of Python") {
  const Folder folder;
  DatasetOptions data = folder.dataset("d.txt", "a\r\nb\rc\n");
  CHECK(rows_of(token_documents(data)) == Rows{{0, 5, 1, 5, 2, 5}});
  data.add_special_tokens = true;
  CHECK(rows_of(token_documents(data)) == Rows{{8, 0, 5, 1, 5, 2, 5}});
}

TEST_CASE("halves are cut by characters, by documents and by rows") {
  const Folder folder;
  DatasetOptions text = folder.dataset("d.tokens",
                                       "\xC3\xA9\xC3\xA9"
                                       "abc");
  text.part = DatasetPart::first;
  CHECK(rows_of(token_documents(text)) == Rows{{6, 6}});
  text.part = DatasetPart::second;
  CHECK(rows_of(token_documents(text)) == Rows{{0, 1, 2}});
  DatasetOptions lines = folder.dataset("d.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}");
  lines.part = DatasetPart::first;
  CHECK(rows_of(token_documents(lines)) == Rows{{0, 7}});
  lines.part = DatasetPart::second;
  CHECK(rows_of(token_documents(lines)) == Rows{{1, 7}, {2, 7}});
}

TEST_CASE("a text is cut to twelve characters for each token wanted") {
  const Folder folder;
  DatasetOptions data = folder.dataset("d.txt", std::string(100, 'a'));
  CHECK(read_plain_text(data, 24).size() == 24);
  CHECK(rows_of(token_windows(data, {.count = 1, .length = 2})) == Rows{{0, 0}});
}

TEST_CASE("too few tokens: the error says how many there are and what they are enough for") {
  const Folder folder;
  const DatasetOptions data = folder.dataset("d.txt", "abcde");
  CHECK_THAT(error_of([&] { token_windows(data, {.count = 3, .length = 2}); }),
             ContainsSubstring(
                 "there are 5 tokens, but 3 windows of 2 need 6; they are enough for 2 such windows, or for 3 of 1"));
  CHECK(token_windows(data, {.count = 3, .length = 2, .fewer_is_fine = true}).rows == 2);
  CHECK(token_windows(data, {.count = 3, .length = 2, .extra = 2, .fewer_is_fine = true}).rows == 1);
  CHECK_THAT(error_of([&] { token_windows(data, {.count = 1, .length = 9, .fewer_is_fine = true}); }),
             ContainsSubstring("there are 5"));
  for (const std::int64_t length : {std::int64_t{1} << 32, std::int64_t{77158673929}})
    CHECK_THROWS_WITH(token_windows(data, {.count = 239075442, .length = length}), ContainsSubstring("more than 2^40"));
}

TEST_CASE("broken data is named with its file and line") {
  const Folder folder;
  const auto error = [&](const std::string& name, const std::string& text) {
    return error_of([&] { token_documents(folder.dataset(name, text)); });
  };
  CHECK_THAT(error("d.jsonl", "{\"text\":\"a\"}\n\n{\"text\": \n"), ContainsSubstring("d.jsonl: line 3: broken JSON"));
  CHECK_THAT(error("d.jsonl", "{\"text\":\"a\"}\n{\"title\":\"a\"}"),
             ContainsSubstring("d.jsonl: line 2 has neither text nor messages"));
  CHECK_THAT(error("d.jsonl", "[1]"), ContainsSubstring("line 1 is not a JSON object"));
  CHECK_THAT(error("d.jsonl", "{\"text\":7}"), ContainsSubstring("line 1: text is not a string"));
  CHECK_THAT(error("d.jsonl", "\n \n"), ContainsSubstring("the dataset is empty"));
  CHECK_THAT(error("d.txt", ""), ContainsSubstring("the dataset is empty"));
  CHECK_THAT(error("d.txt", "ab\xFFz"), ContainsSubstring("d.txt: byte 2 is not valid UTF-8"));
  remove_tree(folder.file("tokenizer.json"));
  CHECK_THAT(error("d.txt", "a"), ContainsSubstring("tokenizer.json is missing") && ContainsSubstring(".safetensors"));
}

TEST_CASE("a .json is an array of texts or of objects, read as lines are") {
  const Folder folder;
  const Rows expected = {{0, 1, 7}, {2, 7}, {7}};
  const std::string array =
      "[\r\n {\"text\": \"ab\", \"more\": [{\"x\": \"]}\"}, 1]},\n\t\"c\" , {\"text\":\"\"}\n]\r\n";
  CHECK(rows_of(token_documents(folder.dataset("d.json", array))) == expected);
  CHECK(rows_of(token_documents(folder.dataset("d.JSON", "\xEF\xBB\xBF" + array))) == expected);
  CHECK(rows_of(token_windows(folder.dataset("d.json", array), {.count = 2, .length = 3})) ==
        Rows{{0, 1, 7}, {2, 7, 7}});
  // A quote and a bracket inside a text, both written with escapes.
  CHECK(JsonDocuments(folder.dataset("d.json", R"(["a\"],\\","b"])"), DocumentFile::json).text(0) == "a\"],\\");
  DatasetOptions half = folder.dataset("d.json", R"(["a","b","c"])");
  half.part = DatasetPart::first;
  CHECK(rows_of(token_documents(half)) == Rows{{0, 7}});
  half.part = DatasetPart::second;
  CHECK(rows_of(token_documents(half)) == Rows{{1, 7}, {2, 7}});
}

TEST_CASE("a .json or .ndjson with an object a line is read as .jsonl") {
  const Folder folder;
  const std::string lines = "\n{\"text\":\"ab\"}\r\n\r\n {\"text\":\"c\"} \n";
  for (const char* const name : {"d.jsonl", "d.JSONL", "d.ndjson", "d.json"}) {
    CHECK(rows_of(token_documents(folder.dataset(name, lines))) == Rows{{0, 1, 7}, {2, 7}});
    CHECK(rows_of(token_documents(folder.dataset(name, "\xEF\xBB\xBF" + lines))) == Rows{{0, 1, 7}, {2, 7}});
  }
  CHECK(rows_of(token_documents(folder.dataset("d.json", "{\"text\":\"a\"}"))) == Rows{{0, 7}});
}

TEST_CASE("anything else that is called .json is refused") {
  const Folder folder;
  const auto error = [&](const std::string& text) {
    return error_of([&] { token_documents(folder.dataset("d.json", text)); });
  };
  CHECK_THAT(error("[\"a\", 1]"), ContainsSubstring("d.json: element 2 is 1;") && ContainsSubstring("array of texts"));
  CHECK_THAT(error("[[\"a\"]]"), ContainsSubstring("element 1 is ["));
  CHECK_THAT(error("[\"a\",]"), ContainsSubstring("element 2 is ]"));
  CHECK_THAT(error("[null"), ContainsSubstring("element 1 is null"));
  CHECK_THAT(error("["), ContainsSubstring("element 1 is the end of the file"));
  CHECK_THAT(error("[\"a\", \"b]"), ContainsSubstring("broken JSON: element 2 has no end"));
  CHECK_THAT(error("[{\"text\": {\"a\"]"), ContainsSubstring("broken JSON: element 1 has no end"));
  CHECK_THAT(error("[{\"text\": \"a\"]]"), ContainsSubstring("element 1: broken JSON"));
  CHECK_THAT(error("[\"a\" \"b\"]"), ContainsSubstring("after element 1 stands \"b\""));
  CHECK_THAT(error("[\"a\""), ContainsSubstring("after element 1 stands the end of the file"));
  CHECK_THAT(error("[\"a\"]\n[\"b\"]"), ContainsSubstring("after the array, at byte 6, stands [\"b\""));
  CHECK_THAT(error("[{\"text\":\"a\"},{\"text\":}]"), ContainsSubstring("d.json: element 2: broken JSON"));
  CHECK_THAT(error("[{\"text\":7}]"), ContainsSubstring("element 1: text is not a string"));
  CHECK_THAT(error("[{\"title\":\"a\",\"body\":\"b\"}]"),
             ContainsSubstring("element 1 has neither text nor messages: its keys are \"body\", \"title\""));
  CHECK_THAT(error("{\n \"data\": [\n  {\"text\": \"a\"}\n ]\n}"),
             ContainsSubstring("is one JSON object over several lines"));
  CHECK_THAT(error("{\"data\": [\"a\"]}"),
             ContainsSubstring("line 1 has neither text nor messages: its keys are \"data\""));
  for (const char* const text : {"abc", "\"abc\"", "7", "null"})
    CHECK_THAT(error(text), ContainsSubstring("neither an array nor objects") && ContainsSubstring(".txt"));
  CHECK_THAT(error("{\"text\":\"a\"}\n{\"text\":"), ContainsSubstring("line 2: broken JSON"));
  CHECK_THAT(error(" \n"), ContainsSubstring("the dataset is empty"));
  CHECK_THAT(error("[ ]"), ContainsSubstring("the dataset is empty"));
}

TEST_CASE("documents without text are refused with their number") {
  const Folder folder;
  const std::string lines = "{\"text\":\"\"}\n{\"text\":\" \\n\\t\"}\n{\"text\":\"\"}\n";
  CHECK_THAT(error_of([&] { token_documents(folder.dataset("d.jsonl", lines)); }),
             ContainsSubstring("d.jsonl: all 3 documents are empty"));
  CHECK_THAT(error_of([&] { token_windows(folder.dataset("d.json", R"(["",""])"), {.count = 1, .length = 2}); }),
             ContainsSubstring("d.json: all 2 documents are empty"));
  DatasetOptions data = folder.dataset("d.jsonl", lines + "{\"text\":\"a\"}");
  CHECK_THAT(error_of([&] { token_windows(data, {.count = 1, .length = 1}); }),
             ContainsSubstring("the first 1 documents are empty, and no more of the 4 are needed"));
  CHECK(token_documents(data).rows == 4);
  data.part = DatasetPart::first;
  CHECK_THAT(error_of([&] { token_documents(data); }),
             ContainsSubstring("all 2 documents of the half chosen are empty"));
  CHECK_THAT(error_of([&] { token_documents(folder.dataset("d.txt", " \n\n")); }),
             ContainsSubstring("3 bytes that are read are all blank"));
}

TEST_CASE("a byte order mark is of the file, not of its text") {
  const Folder folder;
  CHECK(rows_of(token_documents(folder.dataset("d.txt",
                                               "\xEF\xBB\xBF"
                                               "ab\r\nc"))) == Rows{{0, 1, 5, 2}});
  CHECK_THAT(error_of([&] { token_documents(folder.dataset("d.txt", "\xEF\xBB\xBF")); }),
             ContainsSubstring("the dataset is empty"));
}

TEST_CASE("ids written are the ids read, ragged or not, with the same hash") {
  const Folder folder;
  const TokenRows ragged = token_documents(folder.dataset("d.jsonl", "{\"text\":\"abc\"}\n{\"text\":\"\"}"));
  for (const TokenRows& rows : {ragged, token_windows(folder.dataset("d.txt", "abcde"), {.count = 2, .length = 2})}) {
    write_token_file(folder.file("ids.safetensors"), rows);
    const TokenRows read = read_token_file(folder.file("ids.safetensors"));
    CHECK(read.ids == rows.ids);
    CHECK(read.lengths == rows.lengths);
    CHECK(read.hash == rows.hash);
  }
  TokenRows other = ragged;
  CHECK(token_documents(folder.dataset("d.jsonl", "{\"text\":\"abd\"}\n{\"text\":\"\"}")).hash != other.hash);
}

TEST_CASE("rows of a file of ids are cut to the window, and short rows do not count") {
  const Folder folder;
  const TokenRows rows =
      token_documents(folder.dataset("d.jsonl", "{\"text\":\"abc\"}\n{\"text\":\"\"}\n{\"text\":\"deab\"}"));
  DatasetOptions data{.file = folder.file("ids.safetensors"), .model_directory = "nowhere"};
  write_token_file(data.file, rows);
  CHECK(rows_of(token_windows(data, {.count = 2, .length = 2, .extra = 1})) == Rows{{0, 1, 2}, {3, 4, 0}});
  CHECK_THAT(error_of([&] { token_windows(data, {.count = 3, .length = 2}); }),
             ContainsSubstring("2 of 3 rows have the 2 ids"));
  data.part = DatasetPart::second;
  CHECK(rows_of(token_documents(data)) == Rows{{7}, {3, 4, 0, 1, 7}});
}

TEST_CASE("a file of ids may hold I32 and nothing else") {
  const Folder folder;
  const std::string path = folder.file("ids.safetensors");
  const auto store = [&](const std::string& name, Dtype dtype, const Shape& shape, std::vector<std::int32_t> ids) {
    const auto bytes = std::as_bytes(std::span(ids));
    const std::vector<test::StoredTensor> tensors = {{name, dtype, shape, {bytes.begin(), bytes.end()}}};
    test::write_safetensors(path, tensors);
  };
  store("input_ids", Dtype::i32, {2, 2}, {1, 2, 3, 4});
  CHECK(rows_of(read_token_file(path)) == Rows{{1, 2}, {3, 4}});
  const auto error = [&] { return error_of([&] { read_token_file(path); }); };
  store("input_ids", Dtype::i32, {2, 2}, {1, 2, -3, 4});
  CHECK_THAT(error(), ContainsSubstring("input_ids[1, 0] is -3"));
  store("input_ids", Dtype::i32, {4}, {1, 2, 3, 4});
  CHECK_THAT(error(), ContainsSubstring("input_ids is [4]"));
  store("input_ids", Dtype::f32, {2, 2}, {1, 2, 3, 4});
  CHECK_THAT(error(), ContainsSubstring("input_ids is F32"));
  store("tokens", Dtype::i32, {2, 2}, {1, 2, 3, 4});
  CHECK_THAT(error(), ContainsSubstring("tensor tokens is not known"));
  store("input_ids", Dtype::i32, {0, 2}, {});
  CHECK_THAT(error(), ContainsSubstring("there are no tokens"));
}

TEST_CASE("ids outside the vocabulary and rows longer than the model takes are errors") {
  const Folder folder;
  const TokenRows rows = token_documents(folder.dataset("d.jsonl", "{\"text\":\"abc\"}"));
  check_tokens(rows, 8, 4, "d");
  CHECK_THAT(error_of([&] { check_tokens(rows, 7, 4, "d"); }),
             ContainsSubstring("token id 7") && ContainsSubstring("vocabulary has 7"));
  CHECK_THAT(error_of([&] { check_tokens(rows, 8, 3, "d"); }),
             ContainsSubstring("has 4 tokens") && ContainsSubstring("at most 3"));
}

TEST_CASE("chats are rendered with the model's template, and what is missing is said") {
  const auto python = run_child({"python3", "-c", "import jinja2"});
  if (!python || python->exit_code != 0) SKIP("needs python3 with jinja2");
  const Folder folder;
  const DatasetOptions data =
      folder.dataset("d.jsonl", "{\"text\":\"a\"}\n{\"messages\":[{\"role\":\"b\",\"content\":\"c\"}]}");
  CHECK_THAT(error_of([&] { token_documents(data); }), ContainsSubstring("no chat template"));
  write_text(folder.file("chat_template.jinja"), "{% for m in messages %}{{ m.role }}{{ m.content }}d{% endfor %}");
  CHECK(rows_of(token_documents(data)) == Rows{{0, 7}, {1, 2, 3, 7}});
  write_text(folder.file("chat_template.jinja"), "{{ raise_exception('no roles') }}");
  CHECK_THAT(error_of([&] { token_documents(data); }), ContainsSubstring("line 2: the chat template failed: no roles"));
  write_text(folder.file("chat_template.jinja"),
             "{% for m in messages %}{{ m.content }}{% if m.content == 'e' %}{{ raise_exception('no e') }}{% endif "
             "%}{% endfor %}");
  const std::string chat = R"({"messages":[{"role":"b","content":"c"}]})";
  CHECK(rows_of(token_documents(folder.dataset("d.json", "\xEF\xBB\xBF[\"a\",\n\n" + chat + "]"))) ==
        Rows{{0, 7}, {2, 7}});
  CHECK_THAT(
      error_of([&] {
        token_documents(folder.dataset("d.json", "[" + chat + R"(, "a", {"messages":[{"role":"b","content":"e"}]}])"));
      }),
      ContainsSubstring("d.json: element 3: the chat template failed: no e"));
  write_text(folder.file("chat_template.jinja"), "{{ messages }}{{ tools }}");
  for (const char* messages : {R"("[{'role': 'b'}]")", "{}", "3", "[]", "[3]", R"([{"content": "c"}])",
                               R"([{"role": 3}])", R"([{"role": "b"}], "tools": "c")"}) {
    CAPTURE(messages);
    const std::string line = fmt::format(R"({{"messages": {}}})", messages);
    CHECK_THAT(
        error_of([&] { token_documents(folder.dataset("d.jsonl", line)); }),
        ContainsSubstring("d.jsonl: line 1: ") && (ContainsSubstring("message") || ContainsSubstring("tools is")));
  }
  remove_tree(folder.file("chat_template.jinja"));
  for (const char* settings :
       {"[]", R"({"chat_template": 3})", R"({"chat_template": ["a"]})", R"({"chat_template": [{"name": "default"}]})",
        R"({"chat_template": [{"name": 3, "template": "a"}]})"}) {
    CAPTURE(settings);
    write_text(folder.file("tokenizer_config.json"), settings);
    CHECK_THAT(error_of([&] { token_documents(folder.dataset("d.jsonl", chat)); }),
               ContainsSubstring("chat template") || ContainsSubstring("is not an object"));
  }
  DatasetOptions astray = data;
  astray.chat_renderer = folder.file("render_chat.py");
  CHECK_THAT(error_of([&] { token_documents(astray); }), ContainsSubstring("there is no such file"));
}

TEST_CASE("a program that is not there is told apart from one that fails") {
  CHECK_FALSE(run_child({"strata-there-is-no-such-program"}));
  CHECK(run_child({"sh", "-c", "echo out; exit 3"})->exit_code == 3);
  CHECK(run_child({"sh", "-c", "echo out"})->output == "out\n");
}
