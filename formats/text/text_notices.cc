#include "formats/text/text_notices.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <array>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace strata {

std::vector<std::pair<std::string, std::string>> text_notices(const std::string& model_directory,
                                                              const std::string& dataset) {
  std::vector<std::pair<std::string, std::string>> notices;
  const std::string path = join_path(model_directory, "tokenizer.json");
  if (dataset.ends_with(".safetensors") || !exists(path)) return notices;
  simdjson::dom::parser parser;
  const simdjson::padded_string text(read_text(path));
  simdjson::dom::element root;
  if (const auto error = parser.parse(text).get(root); error != simdjson::SUCCESS)
    fail(Fault::input, "{}: broken JSON: {}", path, simdjson::error_message(error));
  // Windows are cut from whole texts: neither may change them. transformers applies both only where it is asked to.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> ignored = {
      {{"truncation", "cut long texts"}, {"padding", "fill up short texts"}}};
  for (const auto& [key, effect] : ignored) {
    simdjson::dom::element value;
    if (root[key].get(value) != simdjson::SUCCESS || value.is_null()) continue;
    notices.emplace_back(
        fmt::format("tokenizer.json: {}", key),
        fmt::format(
            "is ignored, as training scripts of Hugging Face do: windows are made of whole texts, and it would {}",
            effect));
  }
  return notices;
}

}  // namespace strata
