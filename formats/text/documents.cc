#include "formats/text/documents.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "formats/text/chat_template.h"
#include "formats/text/json_array.h"
#include "formats/tokenizer/unicode.h"

namespace strata {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::string read_utf8(const std::string& path) {
  std::string text = read_text(path);
  if (const auto at = tokenizer::first_invalid_utf8(text))
    fail(Fault::input, "{}: byte {} is not valid UTF-8 (0x{:02x}); convert the file, or pass token ids as .safetensors",
         path, *at, static_cast<unsigned char>(text[*at]));
  if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());  // of the file, not of its text
  return text;
}

std::string_view trim(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t\r\f\v");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r\f\v") - first + 1);
}

// "\r\n" and "\r" become "\n".
void unify_line_ends(std::string& text) {
  std::size_t to = 0;
  for (std::size_t from = 0; from < text.size(); ++from) {
    if (text[from] != '\r') {
      text[to++] = text[from];
      continue;
    }
    text[to++] = '\n';
    if (from + 1 < text.size() && text[from + 1] == '\n') ++from;
  }
  text.resize(to);
}

bool has_ending(std::string_view path, std::string_view ending) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return path.size() >= ending.size() && std::ranges::equal(path.substr(path.size() - ending.size()), ending, same);
}

// The keys of an object that is no document, so that the user sees which of them is meant.
std::string keys_of(const nlohmann::json& object) {
  constexpr std::size_t most = 5;
  std::vector<std::string> keys;
  for (const auto& item : object.items())
    if (keys.size() < most) keys.push_back(nlohmann::json(item.key()).dump(-1, ' ', true));
  if (keys.empty()) return "it is empty";
  return fmt::format("its keys are {}{}", fmt::join(keys, ", "), object.size() > most ? ", ..." : "");
}

}  // namespace

DocumentFile document_file(const std::string& path) {
  if (has_ending(path, ".jsonl") || has_ending(path, ".ndjson")) return DocumentFile::lines;
  return has_ending(path, ".json") ? DocumentFile::json : DocumentFile::text;
}

JsonDocuments::JsonDocuments(const DatasetOptions& options, DocumentFile kind)
    : options_(options), file_text_(read_utf8(options.file)) {
  const std::size_t start = file_text_.find_first_not_of(" \t\r\n");
  array_ = kind == DocumentFile::json && start != std::string::npos && file_text_[start] == '[';
  if (array_) {
    for (const std::string_view element : split_json_array(file_text_, options.file))
      documents_.push_back({static_cast<std::int64_t>(documents_.size()) + 1, element});
  } else {
    split_lines();
  }
  // What the hub calls .json is often JSON lines: then the first of them is whole.
  if (kind == DocumentFile::json && !array_ && !documents_.empty()) {
    const std::string_view first = documents_.front().json;
    if (!first.starts_with('{') || !first.ends_with('}'))
      fail(
          Fault::input,
          "{}: is {}, not a data set; a .json holds an array of texts or of objects with text or messages, or one such "
          "object a line; name it .txt if it is prose",
          options.file, first.starts_with('{') ? "one JSON object over several lines" : "neither an array nor objects");
  }
  const auto half = static_cast<std::ptrdiff_t>(documents_.size() / 2);
  if (options.part == DatasetPart::first) documents_.erase(documents_.begin() + half, documents_.end());
  if (options.part == DatasetPart::second) documents_.erase(documents_.begin(), documents_.begin() + half);
}

void JsonDocuments::split_lines() {
  const std::string_view all = file_text_;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\n', begin), all.size());
    const std::string_view line = trim(all.substr(begin, end - begin));
    ++number;
    if (!line.empty()) documents_.push_back({number, line});
    begin = end + 1;
  }
}

std::string JsonDocuments::where(const Document& document) const {
  return fmt::format("{}: {} {}", options_.file, array_ ? "element" : "line", document.number);
}

std::string JsonDocuments::text(std::size_t i, const std::map<std::string, std::string>& special_tokens) {
  const Document& source = documents_[i];
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(source.json);
  } catch (const nlohmann::json::exception& error) {
    const std::string_view what = error.what();
    const std::size_t reason = what.find("] ");
    fail(Fault::input, "{}: broken JSON: {}", where(source),
         reason == std::string_view::npos ? what : what.substr(reason + 2));
  }
  if (array_ && document.is_string()) return document.get<std::string>();
  if (!document.is_object()) fail(Fault::input, "{} is not a JSON object", where(source));
  if (document.contains("text")) {
    if (!document["text"].is_string()) fail(Fault::input, "{}: text is not a string", where(source));
    return document["text"].get<std::string>();
  }
  if (!document.contains("messages"))
    fail(Fault::input,
         "{} has neither text nor messages: {}; a document has its text under text or a chat under messages",
         where(source), keys_of(document));
  return chat(source, special_tokens);
}

const std::string& JsonDocuments::chat(const Document& document,
                                       const std::map<std::string, std::string>& special_tokens) {
  if (!chats_)
    chats_ = render_chats({.file = options_.file,
                           .array = array_,
                           .model_directory = options_.model_directory,
                           .renderer = options_.chat_renderer,
                           .special_tokens = special_tokens});
  const auto found = chats_->find(document.number);
  if (found == chats_->end()) fail(Fault::input, "{}: its chat was not rendered", where(document));
  return found->second;
}

std::string read_plain_text(const DatasetOptions& options, std::optional<std::size_t> most) {
  std::string text = read_utf8(options.file);
  unify_line_ends(text);
  if (options.part != DatasetPart::all) {
    const std::size_t half = tokenizer::code_point_prefix(text, tokenizer::count_code_points(text) / 2);
    text = options.part == DatasetPart::first ? text.substr(0, half) : text.substr(half);
  }
  if (most) text.resize(tokenizer::code_point_prefix(text, *most));
  return text;
}

}  // namespace strata
