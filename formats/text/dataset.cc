#include "formats/text/dataset.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "formats/text/documents.h"
#include "formats/text/token_rows.h"

namespace strata {
namespace {

// Text files are cut to this many characters for each token wanted, which is plenty, so that
// long files are not tokenized whole.
constexpr std::size_t characters_per_token = 12;

constexpr std::int64_t most_tokens = std::int64_t{1} << 40;  // of all windows together

bool is_token_file(const std::string& path) { return path.ends_with(".safetensors"); }

Tokenizer load_tokenizer(const DatasetOptions& options) {
  const std::string path = join_path(options.model_directory, "tokenizer.json");
  if (!exists(path))
    fail(Fault::input, "{} is missing, so {} cannot be tokenized; pass token ids in a .safetensors file instead", path,
         options.file);
  return Tokenizer::of_folder(options.model_directory);
}

// The id that follows a document: that of eos_token, 0 where nobody names one.
TokenId end_of_text_id(const Tokenizer& tokenizer, const std::string& directory) {
  const auto named = tokenizer.special_tokens().find("eos_token");
  if (named == tokenizer.special_tokens().end()) return 0;
  const std::optional<TokenId> id = tokenizer.id_of(named->second);
  if (!id) fail(Fault::input, "{}: eos_token {} is no token", directory, named->second);
  return *id;
}

[[noreturn]] void fail_empty(const DatasetOptions& options) {
  fail(Fault::input, "{}: the dataset is empty{}", options.file,
       options.part == DatasetPart::all ? "" : " in the half chosen");
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

class Documents {
 public:
  Documents(const DatasetOptions& options, DocumentFile kind)
      : json_(options, kind),
        tokenizer_(load_tokenizer(options)),
        end_(end_of_text_id(tokenizer_, options.model_directory)),
        add_special_tokens_(options.add_special_tokens) {}

  std::size_t size() const { return json_.size(); }

  std::vector<TokenId> ids(std::size_t i) {
    const std::string text = json_.text(i, tokenizer_.special_tokens());
    ++read_;
    if (!is_blank(text)) any_text_ = true;
    std::vector<TokenId> ids = tokenizer_.encode(text, add_special_tokens_);
    ids.push_back(end_);
    return ids;
  }

  // Blank documents leave nothing but ends of text, and nothing can be learned or measured on those.
  void require_text(const DatasetOptions& options) const {
    if (size() == 0) fail_empty(options);
    if (!any_text_)
      fail(Fault::input, "{}: {} {} documents{} are empty{}", options.file, read_ == size() ? "all" : "the first",
           read_, options.part == DatasetPart::all ? "" : " of the half chosen",
           read_ == size() ? "" : fmt::format(", and no more of the {} are needed", size()));
  }

 private:
  JsonDocuments json_;
  Tokenizer tokenizer_;
  TokenId end_;
  bool add_special_tokens_;
  std::size_t read_ = 0;
  bool any_text_ = false;
};

std::vector<TokenId> text_ids(const DatasetOptions& options, std::optional<std::size_t> most_characters) {
  const std::string text = read_plain_text(options, most_characters);
  if (text.empty()) fail_empty(options);
  if (is_blank(text)) fail(Fault::input, "{}: the {} bytes that are read are all blank", options.file, text.size());
  return load_tokenizer(options).encode(text, options.add_special_tokens);
}

// The first ids of a text or of documents in a row: at most `limit`.
std::vector<TokenId> first_ids(const DatasetOptions& options, std::size_t limit) {
  std::vector<TokenId> ids;
  if (const DocumentFile kind = document_file(options.file); kind != DocumentFile::text) {
    Documents documents(options, kind);
    for (std::size_t i = 0; i < documents.size() && ids.size() < limit; ++i) {
      const std::vector<TokenId> more = documents.ids(i);
      ids.insert(ids.end(), more.begin(), more.end());
    }
    documents.require_text(options);
  } else {
    ids = text_ids(options, limit * characters_per_token);
  }
  if (ids.size() > limit) ids.resize(limit);
  return ids;
}

// The rows of one half of a file of ids, each without its padding.
std::vector<std::vector<TokenId>> chosen_rows(const DatasetOptions& options) {
  const TokenRows all = read_token_file(options.file);
  const std::int64_t half = all.rows / 2;
  const std::int64_t begin = options.part == DatasetPart::second ? half : 0;
  const std::int64_t end = options.part == DatasetPart::first ? half : all.rows;
  std::vector<std::vector<TokenId>> rows;
  for (std::int64_t i = begin; i < end; ++i)
    rows.emplace_back(all.row(i), all.row(i) + all.lengths[static_cast<std::size_t>(i)]);
  if (rows.empty()) fail_empty(options);
  return rows;
}

TokenRows cut_rows(const DatasetOptions& options, const WindowOptions& windows) {
  const auto length = static_cast<std::size_t>(windows.length + windows.extra);
  const std::vector<std::vector<TokenId>> all = chosen_rows(options);
  std::vector<std::vector<TokenId>> rows;
  std::size_t longest = 0;
  for (const auto& row : all) {
    longest = std::max(longest, row.size());
    if (row.size() >= length && rows.size() < static_cast<std::size_t>(windows.count))
      rows.emplace_back(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(length));
  }
  const bool enough =
      rows.size() == static_cast<std::size_t>(windows.count) || (windows.fewer_is_fine && !rows.empty());
  if (!enough)
    fail(Fault::input,
         "{}: {} of {} rows have the {} ids of a window (the longest has {}), but {} windows are asked for",
         options.file, rows.size(), all.size(), length, longest, windows.count);
  return make_rows(rows);
}

std::string windows_that_fit(std::size_t ids, const WindowOptions& windows) {
  const std::size_t such = ids / static_cast<std::size_t>(windows.length);
  const std::size_t shorter = ids / static_cast<std::size_t>(windows.count);
  if (shorter == 0) return "give more text";
  if (such == 0) return fmt::format("they are enough for {} windows of {}", windows.count, shorter);
  return fmt::format("they are enough for {} such windows, or for {} of {}", such, windows.count, shorter);
}

}  // namespace

TokenRows token_windows(const DatasetOptions& options, const WindowOptions& windows) {
  if (windows.count < 1 || windows.length < 1)
    fail(Fault::usage, "{} windows of {} tokens are asked for; both must be at least 1", windows.count, windows.length);
  if (windows.length > most_tokens / windows.count)
    fail(Fault::usage, "{} windows of {} tokens are asked for: more than 2^40 tokens", windows.count, windows.length);
  if (is_token_file(options.file)) return cut_rows(options, windows);
  const auto length = static_cast<std::size_t>(windows.length), extra = static_cast<std::size_t>(windows.extra);
  const auto count = static_cast<std::size_t>(windows.count);
  const std::size_t wanted = count * length + extra;
  const std::vector<TokenId> ids = first_ids(options, wanted);
  const std::size_t whole = ids.size() < extra ? 0 : std::min(count, (ids.size() - extra) / length);
  if (whole < count && !(windows.fewer_is_fine && whole > 0))
    fail(Fault::input, "{}: there are {} tokens, but {} windows of {} need {}; {}", options.file, ids.size(), count,
         length, wanted, windows_that_fit(ids.size() < extra ? 0 : ids.size() - extra, windows));
  std::vector<std::vector<TokenId>> rows;
  for (std::size_t i = 0; i < whole; ++i) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i * length);
    rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length + extra));
  }
  return make_rows(rows);
}

TokenRows token_documents(const DatasetOptions& options) {
  if (is_token_file(options.file)) return make_rows(chosen_rows(options));
  std::vector<std::vector<TokenId>> rows;
  if (const DocumentFile kind = document_file(options.file); kind != DocumentFile::text) {
    Documents documents(options, kind);
    for (std::size_t i = 0; i < documents.size(); ++i) rows.push_back(documents.ids(i));
    documents.require_text(options);
  } else {
    rows.push_back(text_ids(options, std::nullopt));
  }
  if (rows.empty() || (rows.size() == 1 && rows[0].empty())) fail_empty(options);
  return make_rows(rows);
}

void check_tokens(const TokenRows& rows, std::int64_t vocabulary, std::int64_t max_position,
                  const std::string& source) {
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    const std::int64_t length = rows.lengths[static_cast<std::size_t>(i)];
    if (length > max_position)
      fail(Fault::input, "{}: row {} has {} tokens, but the model takes at most {} (max_position_embeddings)", source,
           i, length, max_position);
    const TokenId* largest = std::max_element(rows.row(i), rows.row(i) + length);
    if (*largest >= vocabulary)
      fail(Fault::input, "{}: row {} holds token id {}, but the model's vocabulary has {}; is this its tokenizer?",
           source, i, *largest, vocabulary);
  }
}

}  // namespace strata
