#include "engine/plan/assignment.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/error.h"
#include "base/file.h"
#include "engine/plan/output_plan.h"
#include "tests/support/named_linear.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/tiny_llama.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

namespace {

std::string write_llama(const test::TemporaryFolder& folder, std::int64_t inner, bool tied) {
  test::write_tiny_llama(folder.file("model"), {.inner = inner, .tied = tied});
  return folder.file("model");
}

}  // namespace

TEST_CASE("the scheme goes to every Linear but the head, overrides and ignores change it") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, false));
  Assignment plain = assign_formats(model, {.scheme = "w4a16"});
  CHECK(test::format_of(model, plain, "model.layers.0.self_attn.q_proj") == "W4A16");
  CHECK(test::format_of(model, plain, "lm_head") == "KEEP");
  CHECK(plain.decisions.empty());

  const AssignmentRequest mixed{
      .scheme = "W4A16",
      .ignore = {"*.o_proj"},
      .overrides = {{"re:.*mlp[.]", "FP8_DYNAMIC"}, {"*.down_proj", "BF16"}, {"lm_head", "fp8_dynamic"}}};
  const Assignment assignment = assign_formats(model, mixed);
  CHECK(test::format_of(model, assignment, "model.layers.0.mlp.gate_proj") == "FP8_DYNAMIC");
  CHECK(test::format_of(model, assignment, "model.layers.0.mlp.down_proj") == "BF16");
  CHECK(test::format_of(model, assignment, "model.layers.0.self_attn.o_proj") == "KEEP");
  CHECK(test::format_of(model, assignment, "lm_head") == "FP8_DYNAMIC");
}

TEST_CASE("a rule that splits what is served as one matrix is refused, naming both") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, false));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .ignore = {"*.q_proj"}}), Error,
                       MessageMatches(ContainsSubstring("q_proj would be KEEP") && ContainsSubstring("k_proj W4A16")));
}

TEST_CASE("a pattern that matches nothing is refused with a suggestion") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, false));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .ignore = {"lm_heat"}}), Error,
                       MessageMatches(ContainsSubstring("did you mean lm_head?")));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .overrides = {{"re:.*visual.*", "BF16"}}}), Error,
                       MessageMatches(ContainsSubstring("matches none of the 8 Linears")));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .overrides = {{"model.embed_tokens", "W4A16"}}}),
                       Error, MessageMatches(ContainsSubstring("only Linears take a number format")));
}

TEST_CASE("a shape that does not divide keeps its whole unit as a decision, or stops a strict run") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 200, false));  // 200 columns of down_proj
  const Assignment assignment = assign_formats(model, {.scheme = "W4A16"});
  CHECK(test::format_of(model, assignment, "model.layers.0.mlp.down_proj") == "KEEP");
  CHECK(test::format_of(model, assignment, "model.layers.0.mlp.gate_proj") == "W4A16");
  REQUIRE(assignment.decisions.size() == 1);
  CHECK(assignment.decisions[0].first == "model.layers.0.mlp.down_proj");
  CHECK_THAT(assignment.decisions[0].second, ContainsSubstring("200"));
  CHECK_THROWS_AS(assign_formats(model, {.scheme = "W4A16", .strict = true}), Error);
}

TEST_CASE("a tied head cannot be quantized but may be ignored") {
  const test::TemporaryFolder folder;
  const OpenModel model = open_model(write_llama(folder, 256, true));
  CHECK_NOTHROW(assign_formats(model, {.scheme = "W4A16", .ignore = {"lm_head"}}));
  CHECK_NOTHROW(assign_formats(model, {.scheme = "W4A16", .ignore = {"lm_head"}, .overrides = {{"*", "FP8_DYNAMIC"}}}));
  CHECK_THROWS_MATCHES(assign_formats(model, {.scheme = "W4A16", .overrides = {{"lm_head", "FP8_DYNAMIC"}}}), Error,
                       MessageMatches(ContainsSubstring("shares model.embed_tokens.weight")));
}

TEST_CASE("a head that is stored although config.json ties it is untied unless it is the embedding") {
  const test::TemporaryFolder folder;
  const std::string path = write_llama(folder, 256, false);
  std::string config = read_text(join_path(path, "config.json"));
  config.replace(config.find("\"tie_word_embeddings\": false"), 28, "\"tie_word_embeddings\": true ");
  write_text(join_path(path, "config.json"), config);
  const auto written = [](const OpenModel& model, const Assignment& assignment) {
    return Config::parse(plan_output(model, assignment, 1 << 30).config_json, "config.json")
        .boolean("tie_word_embeddings");
  };
  {
    const OpenModel model = open_model(path);
    const Assignment kept = assign_formats(model, {.scheme = "W4A16"});
    REQUIRE(kept.decisions.size() == 1);
    CHECK(kept.decisions[0] ==
          std::pair<std::string, std::string>(
              "lm_head",
              "tie_word_embeddings true becomes false: the stored head is another matrix than the embedding, "
              "and vLLM would use model.embed_tokens.weight for both"));
    CHECK_FALSE(written(model, kept));
  }
  // The same bytes under both names: tied, unless the head becomes something else.
  std::vector<test::StoredTensor> tensors;
  {
    const Checkpoint checkpoint = Checkpoint::open(path);
    for (const TensorInfo& info : checkpoint.tensors()) {
      const TensorInfo& from = info.name == "lm_head.weight" ? checkpoint.at("model.embed_tokens.weight") : info;
      tensors.push_back({.name = info.name, .dtype = from.dtype, .shape = from.shape});
      tensors.back().bytes.resize(from.bytes);
      checkpoint.read(from, tensors.back().bytes);
    }
  }
  test::write_checkpoint(path, config, tensors);
  const OpenModel model = open_model(path);
  const Assignment kept = assign_formats(model, {.scheme = "W4A16"});
  CHECK(kept.decisions.empty());
  CHECK(written(model, kept));
  const Assignment head = assign_formats(model, {.scheme = "W4A16", .overrides = {{"lm_head", "W4A16"}}});
  REQUIRE(head.decisions.size() == 1);
  CHECK_THAT(head.decisions[0].second, ContainsSubstring("the head becomes W4A16"));
  CHECK_FALSE(written(model, head));
}
