// The documents of a text file: the lines of a .jsonl, or the whole of anything else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/dataset.h"

namespace strata {

bool is_jsonl(const std::string& path);

// Reads the file once and parses a line when its text is asked for. Not thread-safe.
class JsonlDocuments {
 public:
  explicit JsonlDocuments(const DatasetOptions& options);  // the part of the file that the options choose
  std::size_t size() const { return lines_.size(); }
  std::string text(std::size_t i);  // Error{input} with file and line number

 private:
  struct Line {
    std::int64_t number;
    std::string_view json;
  };
  const std::string& chat(const Line& line);
  DatasetOptions options_;
  std::string file_text_;
  std::vector<Line> lines_;
  std::optional<std::map<std::int64_t, std::string>> chats_;
};

// The part of a plain text that the options choose, with "\n" ends of lines as Python reads it; at most
// `most` characters of it.
std::string read_plain_text(const DatasetOptions& options, std::optional<std::size_t> most);

}  // namespace strata
