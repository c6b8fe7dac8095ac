// The documents of a text file: the lines of a .jsonl, the elements of a .json, or the whole of anything else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/text/dataset.h"

namespace strata {

enum class DocumentFile : std::uint8_t {
  lines,  // a JSON object a line: .jsonl, .ndjson
  json,   // an array of texts or of such objects, or else such lines: .json
  text,   // one plain text
};
DocumentFile document_file(const std::string& path);  // by its name

// Reads the file once and parses a document when its text is asked for. Not thread-safe.
class JsonDocuments {
 public:
  // The part of the file that the options choose. Error{input} when it is not `kind`, which is not text.
  JsonDocuments(const DatasetOptions& options, DocumentFile kind);
  std::size_t size() const { return documents_.size(); }
  // Error{input} with file and number of the line or element. `special_tokens` are those that chat templates may use,
  // the same for all.
  std::string text(std::size_t i, const std::map<std::string, std::string>& special_tokens = {});

 private:
  struct Document {
    std::int64_t number;  // of its line or element, from 1
    std::string_view json;
  };
  void split_lines();
  std::string where(const Document& document) const;  // "FILE: line 3"
  const std::string& chat(const Document& document, const std::map<std::string, std::string>& special_tokens);

  DatasetOptions options_;
  bool array_ = false;
  std::string file_text_;
  std::vector<Document> documents_;  // views of file_text_
  std::optional<std::map<std::int64_t, std::string>> chats_;
};

// The part of a plain text that the options choose, with "\n" ends of lines as Python reads it and without a byte order
// mark; at most `most` characters of it.
std::string read_plain_text(const DatasetOptions& options, std::optional<std::size_t> most);

}  // namespace strata
