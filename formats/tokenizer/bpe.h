// The BPE model of tokenizer.json: words to token ids.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/merge_table.h"
#include "formats/tokenizer/word_cache.h"

namespace strata::tokenizer {

// What a model does beside merging.
struct BpeSettings {
  std::optional<std::string> unknown = {};  // the token of what has none
  bool fuse_unknown = false, byte_fallback = false, ignore_merges = false;
};

// Thread-safe after construction.
class Bpe {
 public:
  // `maps_bytes`: words come as raw bytes that stand for characters of GPT-2's alphabet. `instead` is taken in place of
  // the settings of the file.
  static Bpe parse(const JsonPart& part, bool maps_bytes, const std::optional<BpeSettings>& instead = std::nullopt);

  // Appends the ids of a word.
  void encode(std::string_view word, WordCache& cache, std::vector<std::int32_t>& ids) const;

  std::optional<std::int32_t> id_of(std::string_view token) const;
  std::size_t size() const { return vocabulary_.size(); }
  std::int32_t largest_id() const { return largest_id_; }

 private:
  void read_vocabulary(const JsonPart& part);
  void read_merges(const JsonPart& part);
  void add_merge(std::string_view left, std::string_view right, std::uint32_t rank, const std::string& where);
  void fill_tables();
  void encode_part(std::string_view word, WordCache& cache, std::vector<std::int32_t>& ids) const;
  void to_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const;
  bool append_known(std::string_view character, std::vector<std::int32_t>& symbols) const;
  bool append_bytes(std::string_view character, std::vector<std::int32_t>& symbols) const;
  std::int32_t unknown_id() const;
  std::size_t end_of_part(std::string_view word, std::size_t begin) const;

  std::string where_;
  std::unique_ptr<std::string> text_;  // all tokens, one after the other; the views below look into it
  std::unordered_map<std::string_view, std::int32_t> vocabulary_;
  std::int32_t largest_id_ = -1;
  MergeTable merges_;
  BpeSettings settings_;
  bool maps_bytes_ = false;

  static constexpr std::int32_t missing = -1;
  std::array<std::int32_t, 256> alphabet_{};  // of the character of each byte (maps_bytes) or of ASCII
  std::array<std::int32_t, 256> fallback_{};  // of <0x00> .. <0xFF>
  bool alphabet_complete_ = false;

  // SentencePiece-style models get whole texts as one word. Where no merge can reach from a symbol to the
  // "\u2581" after it, the text is cut, which changes no id and lets the cache work.
  bool cuts_at_blanks_ = false;
  std::unordered_set<std::int32_t> joins_blank_;  // last symbols of tokens that merge with one that begins with a blank
};

}  // namespace strata::tokenizer
