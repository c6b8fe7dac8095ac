#include "engine/plan/assignment_file.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "tests/support/named_linear.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;

namespace {

constexpr const char* layer = "model.layers.0.";

// A one-layer Llama and a file for it. Complaints come back without the path before the file's name.
struct Case {
  test::TemporaryFolder folder;
  std::string path = folder.file("assignment.json");

  explicit Case(std::int64_t inner = 256, bool tied = false) {
    test::write_tiny_llama(folder.file("model"), {.inner = inner, .tied = tied});
  }
  void write(const std::string& text) const { write_text(path, text); }
  // `lines` are "name FORMAT", one line of the file each, from line 4 on.
  void write_lines(const std::vector<std::pair<std::string, std::string>>& lines) const {
    std::string text = "{\n  \"version\": 1,\n  \"linears\": {";
    for (const auto& [name, format] : lines)
      text += (text.ends_with('{') ? "\n" : ",\n") + ("    \"" + name) + "\": {\"format\": \"" + format + "\"}";
    write(text + "\n  }\n}\n");
  }
  Assignment assign(AssignmentRequest request = {}) const {
    request.file = path;
    return assign_formats(open_model(folder.file("model")), request);
  }
  std::string_view format_of(const Assignment& assignment, const std::string& module) const {
    return test::format_of(open_model(folder.file("model")), assignment, module);
  }
  std::string complaint(Fault fault, AssignmentRequest request = {}) const {
    try {
      assign(std::move(request));
    } catch (const Error& error) {
      CHECK(error.fault == fault);
      const std::string text = error.what();
      return text.starts_with(path) ? "assignment.json" + text.substr(path.size()) : text;
    }
    return "none";
  }
  std::string complaint_about(const std::string& text) const {
    write(text);
    return complaint(Fault::input, {.scheme = "W4A16"});
  }
};

}  // namespace

TEST_CASE("a file gives the Linears it names their formats, the scheme the others, and flags win over both") {
  const Case test;
  test.write_lines({{"model.layers.0.self_attn.o_proj", "fp8_dynamic"},
                    {"model.layers.0.mlp.down_proj", "BF16"},
                    {"lm_head", "FP8_DYNAMIC"}});
  const Assignment plain = test.assign({.scheme = "W4A16"});
  CHECK(test.format_of(plain, layer + std::string("self_attn.o_proj")) == "FP8_DYNAMIC");
  CHECK(test.format_of(plain, layer + std::string("mlp.down_proj")) == "BF16");
  CHECK(test.format_of(plain, layer + std::string("mlp.up_proj")) == "W4A16");
  CHECK(test.format_of(plain, "lm_head") == "FP8_DYNAMIC");
  const Assignment ruled =
      test.assign({.scheme = "W4A16", .ignore = {"lm_head"}, .overrides = {{"*.o_proj", "NVFP4A16"}}});
  CHECK(test.format_of(ruled, layer + std::string("self_attn.o_proj")) == "NVFP4A16");
  CHECK(test.format_of(ruled, layer + std::string("mlp.down_proj")) == "BF16");
  CHECK(test.format_of(ruled, "lm_head") == "KEEP");
}

TEST_CASE("without a scheme the file, or flags, must name what is to be quantized") {
  const Case test;
  test.write_lines({{"model.layers.0.self_attn.q_proj", "W4A16"},
                    {"model.layers.0.self_attn.k_proj", "W4A16"},
                    {"model.layers.0.self_attn.v_proj", "W4A16"},
                    {"model.layers.0.self_attn.o_proj", "W4A16"}});
  const std::string said = test.complaint(Fault::usage);
  CHECK_THAT(said,
             ContainsSubstring("leaves out 3 that are to be quantized (model.layers.0.mlp.gate_proj is the first)"));
  CHECK_THAT(said, ContainsSubstring("--scheme FORMAT"));
  const Assignment assignment = test.assign({.overrides = {{"*.mlp.*", "FP8_DYNAMIC"}}});
  CHECK(test.format_of(assignment, layer + std::string("mlp.up_proj")) == "FP8_DYNAMIC");
  CHECK(test.format_of(assignment, "lm_head") == "KEEP");
}

TEST_CASE("a name that the model lacks is told with its line and the nearest name") {
  const Case test;
  test.write_lines(
      {{"model.layers.0.self_attn.o_proj", "W4A16"}, {"model.layers.0.mlp.down_porj", "W4A16"}, {"x", "W4A16"}});
  const std::string said = test.complaint(Fault::input, {.scheme = "W4A16"});
  CHECK_THAT(said, ContainsSubstring("assignment.json:5: model.layers.0.mlp.down_porj is none of the 8 Linears") &&
                       EndsWith("(did you mean model.layers.0.mlp.down_proj?)"));
  test.write_lines({{"model.embed_tokens", "BF16"}});
  CHECK_THAT(test.complaint(Fault::input, {.scheme = "W4A16"}),
             ContainsSubstring("assignment.json:4: model.embed_tokens is none"));
}

TEST_CASE("a file that splits what is served as one matrix is told with the line") {
  const Case test;
  test.write_lines({{"model.layers.0.self_attn.o_proj", "W4A16"},
                    {"model.layers.0.self_attn.q_proj", "FP8_DYNAMIC"},
                    {"model.layers.0.self_attn.k_proj", "W4A16"},
                    {"model.layers.0.self_attn.v_proj", "FP8_DYNAMIC"}});
  CHECK_THAT(test.complaint(Fault::input, {.scheme = "W4A16"}),
             ContainsSubstring("assignment.json:5: model.layers.0.self_attn.q_proj is FP8_DYNAMIC but "
                               "model.layers.0.self_attn.k_proj is W4A16; they are served as one matrix"));
  test.write_lines({{"model.layers.0.mlp.up_proj", "FP8_DYNAMIC"}});  // the scheme gives the rest another one
  CHECK_THAT(
      test.complaint(Fault::input, {.scheme = "W4A16"}),
      ContainsSubstring(
          "assignment.json:4: model.layers.0.mlp.up_proj is FP8_DYNAMIC but model.layers.0.mlp.gate_proj gets W4A16"));
  CHECK_NOTHROW(test.assign({.scheme = "W4A16", .overrides = {{"*.mlp.*", "BF16"}}}));  // a flag makes it whole
}

TEST_CASE("a format that a shape refuses is told with the line, not kept") {
  const Case test(200);  // 200 columns of down_proj
  test.write_lines({{"model.layers.0.self_attn.o_proj", "W4A16"}, {"model.layers.0.mlp.down_proj", "W4A16"}});
  CHECK_THAT(test.complaint(Fault::input, {.scheme = "FP8_DYNAMIC"}),
             ContainsSubstring("assignment.json:5: model.layers.0.mlp.down_proj cannot be W4A16: ") &&
                 ContainsSubstring("200"));
}

TEST_CASE("a tied head may be named to be kept and nothing else") {
  const Case test(256, true);
  test.write_lines({{"lm_head", "KEEP"}});
  CHECK_NOTHROW(test.assign({.scheme = "W4A16"}));
  test.write_lines({{"lm_head", "FP8_DYNAMIC"}});
  CHECK_THAT(test.complaint(Fault::input, {.scheme = "W4A16"}),
             ContainsSubstring("assignment.json:4: lm_head shares model.embed_tokens.weight with the embedding"));
}

TEST_CASE("what is not such a file is told in one line with its place") {
  const Case test;
  const std::map<std::string, std::string> wrong = {
      {"{\n\"version\": 2,\n\"linears\": {}}", ":2: \"version\" is 2; this program reads version 1"},
      {"{\n\"version\": \"1\",\n\"linears\": {}}", ":2: \"version\" is not a number"},
      {"{\"linears\": {}}", ":1: \"version\" is missing; this program reads version 1"},
      {"{\"version\": 1}", ":1: \"linears\" is missing"},
      {"{\n\"version\": 1,\n\"linears\": {},\n\"version\": 1}", ":4: \"version\" stands twice"},
      {"{\n\"version\": 1,\n\"linears\": [],\n\"x\": 1}", ":3: \"linears\" is not an object"},
      {"{\n\"version\": 1,\n\"layers\": {}}",
       ":3: \"layers\" is not a key; there are \"version\", \"prices\" and "
       "\"linears\""},
      {"{\n\"version\": 1,\n\"prices\": 7,\n\"linears\": {}}", ":3: \"prices\" is not a string"},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": \"BF16\"}}",
       ":2: lm_head is not an object such as {\"format\": \"NVFP4\"}"},
      {"{\"version\": 1, \"linears\": {\n\n\"lm_head\": {}}}", ":3: lm_head: \"format\" is missing"},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"format\": 4}}}", ":2: lm_head: \"format\" is not a string"},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"format\": \"BF16\",\n\"format\": \"KEEP\"}}}",
       ":3: lm_head: \"format\" stands twice"},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"bits\": 4}}}",
       ":2: lm_head: \"bits\" is not a key; there is \"format\""},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"format\": \"BF61\"}}}",
       ":2: lm_head: there is no number format 'BF61' (did you mean BF16?)"},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"format\": \"BF16\"},\n\n\"lm_head\": {\"format\": \"BF16\"}}}",
       ":4: lm_head stands twice, first in assignment.json:2"},
      {"[1]", ":1: is not a JSON object"},
      {"", ":1: broken JSON"},
      {"format = NVFP4", ":1: "},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"format\": \"BF16\"},\n}}", ":2: broken JSON"},
      {"{\"version\": 1, \"linears\": {\n\"lm_head\": {\"format\": \"BF16\"}", ""},
      {"{\"version\": 1, \"linears\": {}}\n{}", ""},
  };
  for (const auto& [text, said] : wrong) {
    INFO(text);
    std::string complaint = test.complaint_about(text);
    if (const std::size_t at = complaint.find(test.path); at != complaint.npos)
      complaint.replace(at, test.path.size(), "assignment.json");
    CHECK(complaint.starts_with("assignment.json:"));
    CHECK_THAT(complaint, ContainsSubstring("assignment.json" + said));
    CHECK(complaint.find('\n') == complaint.npos);
  }
  std::string whole = "{\"version\": 1, \"linears\": {\"lm_head\": {\"format\": \"BF16\"}}}";
  for (std::size_t n = 0; n < whole.size(); ++n)
    CHECK(test.complaint_about(whole.substr(0, n)).starts_with("assignment.json:"));
  CHECK(test.complaint_about(whole) == "none");
  CHECK_THROWS_AS(AssignmentFile::read(test.folder.file("missing.json")), Error);
}
