#include <simdjson.h>

#include "base/error.h"
#include "base/file.h"
#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/model.h"

namespace strata {

using tokenizer::JsonPart;

namespace {

// Truncation and padding would change the ids of long and short texts behind our back.
void check_top_level(const JsonPart& root) {
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                   "decoder", "model"});
  if (root.find("version") && root.text("version") != "1.0")
    fail(Fault::input, "{}version {} is not known, only 1.0", root.where(), root.text("version"));
  root.require_absent("truncation");
  root.require_absent("padding");
}

}  // namespace

Tokenizer Tokenizer::load(const std::string& tokenizer_json_path) {
  const simdjson::padded_string text(read_text(tokenizer_json_path));
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (const auto error = parser.parse(text).get(element); error != simdjson::SUCCESS)
    fail(Fault::input, "{}: broken JSON: {}", tokenizer_json_path, simdjson::error_message(error));
  const JsonPart root(element, tokenizer_json_path + ": ");
  check_top_level(root);

  auto model = std::make_unique<Model>();
  if (const auto part = root.find("normalizer")) model->normalizer = tokenizer::Normalizer::parse(*part);
  if (const auto part = root.find("pre_tokenizer")) model->pre_tokenizer = tokenizer::PreTokenizer::parse(*part);
  model->bpe = tokenizer::Bpe::parse(root.at("model"), model->pre_tokenizer.leaves_bytes());
  if (const auto part = root.find("added_tokens"))
    model->added = tokenizer::AddedTokens::parse(*part, model->normalizer, model->bpe.size(),
                                                 [&](std::string_view token) { return model->bpe.id_of(token); });
  if (const auto part = root.find("post_processor")) model->post_processor = tokenizer::PostProcessor::parse(*part);
  return Tokenizer(std::move(model));
}

}  // namespace strata
