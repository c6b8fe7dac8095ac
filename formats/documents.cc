#include "formats/documents.h"

#include <cctype>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "formats/chat_template.h"
#include "formats/tokenizer/unicode.h"

namespace strata {
namespace {

std::string read_utf8(const std::string& path) {
  std::string text = read_text(path);
  if (const auto at = tokenizer::first_invalid_utf8(text))
    fail(Fault::input, "{}: byte {} is not valid UTF-8 (0x{:02x}); convert the file, or pass token ids as .safetensors",
         path, *at, static_cast<unsigned char>(text[*at]));
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

}  // namespace

bool is_jsonl(const std::string& path) {
  const std::string_view ending = ".jsonl";
  return path.size() >= ending.size() &&
         std::equal(ending.begin(), ending.end(), path.end() - static_cast<std::ptrdiff_t>(ending.size()),
                    [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

JsonlDocuments::JsonlDocuments(const DatasetOptions& options) : options_(options), file_text_(read_utf8(options.file)) {
  const std::string_view all = file_text_;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\n', begin), all.size());
    const std::string_view line = trim(all.substr(begin, end - begin));
    ++number;
    if (!line.empty()) lines_.push_back({number, line});
    begin = end + 1;
  }
  const auto half = static_cast<std::ptrdiff_t>(lines_.size() / 2);
  if (options.part == DatasetPart::first) lines_.erase(lines_.begin() + half, lines_.end());
  if (options.part == DatasetPart::second) lines_.erase(lines_.begin(), lines_.begin() + half);
}

std::string JsonlDocuments::text(std::size_t i) {
  const Line& line = lines_[i];
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(line.json);
  } catch (const nlohmann::json::exception& error) {
    const std::string_view what = error.what();
    const std::size_t reason = what.find("] ");
    fail(Fault::input, "{}: line {}: broken JSON: {}", options_.file, line.number,
         reason == std::string_view::npos ? what : what.substr(reason + 2));
  }
  if (!document.is_object()) fail(Fault::input, "{}: line {} is not a JSON object", options_.file, line.number);
  if (document.contains("text")) {
    if (!document["text"].is_string())
      fail(Fault::input, "{}: line {}: text is not a string", options_.file, line.number);
    return document["text"].get<std::string>();
  }
  if (!document.contains("messages"))
    fail(Fault::input, "{}: line {} has neither text nor messages", options_.file, line.number);
  return chat(line);
}

const std::string& JsonlDocuments::chat(const Line& line) {
  if (!chats_) chats_ = render_chats({options_.file, options_.model_directory, options_.chat_renderer});
  const auto found = chats_->find(line.number);
  if (found == chats_->end()) fail(Fault::input, "{}: line {}: its chat was not rendered", options_.file, line.number);
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
