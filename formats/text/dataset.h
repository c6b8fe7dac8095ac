// Calibration and evaluation data: a file of text or token ids to windows of token ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/tokenizer/tokenizer.h"

namespace strata {

enum class DatasetPart { all, first, second };  // halves: by documents (json), characters (text), rows (ids)

struct DatasetOptions {
  std::string file;             // .jsonl, .json, .safetensors, anything else is plain text
  std::string model_directory;  // whose tokenizer.json, tokenizer_config.json and chat template are used
  DatasetPart part = DatasetPart::all;
  bool add_special_tokens = false;
  std::string chat_renderer = {};  // render_chat.py; empty: beside the program
};

// Rows of token ids, right-padded with 0 to the longest.
struct TokenRows {
  std::int64_t rows = 0, columns = 0;
  std::vector<TokenId> ids;           // [rows, columns]
  std::vector<std::int64_t> lengths;  // tokens of each row; every one equals `columns` for windows
  std::string hash;                   // of the ids and lengths: what goes into fingerprints

  const TokenId* row(std::int64_t i) const { return ids.data() + i * columns; }
};

// `count` consecutive windows of `length` ids, packed from the start, each followed by `extra` ids that
// overlap the next window (evaluation needs the next token). A .safetensors of ids gives its own rows cut
// to `length` + `extra`. Error{input} when there are not enough tokens, saying how many there are; with
// `fewer_is_fine` as many windows as there are (at least one).
struct WindowOptions {
  std::int64_t count = 0, length = 0, extra = 0;
  bool fewer_is_fine = false;
};
TokenRows token_windows(const DatasetOptions& options, const WindowOptions& windows);

// One row a document (plain text is one document). Both: Error{input} where the documents are all blank.
TokenRows token_documents(const DatasetOptions& options);

// input_ids I64 [n, t] and, where rows differ in length, lengths I64 [n].
TokenRows read_token_file(const std::string& path);
void write_token_file(const std::string& path, const TokenRows& rows);

// Error{input} when an id is outside the vocabulary or a row is longer than the model allows.
void check_tokens(const TokenRows& rows, std::int64_t vocabulary, std::int64_t max_position, const std::string& source);

}  // namespace strata
