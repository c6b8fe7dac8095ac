#include "formats/tokenizer/bpe.h"

#include <algorithm>

#include "base/error.h"
#include "formats/tokenizer/byte_level.h"
#include "formats/tokenizer/merge_word.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {
constexpr std::string_view blank = "\xE2\x96\x81";  // U+2581, SentencePiece's space
}

// Error{input} for what would change ids and is not supported.
static BpeSettings read_settings(const JsonPart& part) {
  part.require_absent("dropout");
  part.require_absent("continuing_subword_prefix");
  part.require_absent("end_of_word_suffix");
  BpeSettings settings{.fuse_unknown = part.boolean_or("fuse_unk", false),
                       .byte_fallback = part.boolean_or("byte_fallback", false),
                       .ignore_merges = part.boolean_or("ignore_merges", false)};
  if (part.find("unk_token")) settings.unknown = part.text("unk_token");
  return settings;
}

Bpe Bpe::parse(const JsonPart& part, bool maps_bytes, const std::optional<BpeSettings>& instead) {
  const std::string_view type = part.find("type") ? part.text("type") : "BPE";
  if (type != "BPE")
    fail(Fault::input, "{}: type {} is not supported, only BPE; pass token ids in a .safetensors file instead",
         part.where(), type);
  part.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                   "byte_fallback", "ignore_merges", "vocab", "merges"});
  Bpe bpe;
  bpe.where_ = part.where();
  bpe.maps_bytes_ = maps_bytes;
  bpe.settings_ = instead ? *instead : read_settings(part);
  bpe.read_vocabulary(part.at("vocab"));
  bpe.fill_tables();
  bpe.read_merges(part.at("merges"));
  return bpe;
}

void Bpe::read_vocabulary(const JsonPart& part) {
  simdjson::dom::object object;
  if (part.element().get(object) != simdjson::SUCCESS) fail(Fault::input, "{} is not an object", part.where());
  std::size_t bytes = 0;
  for (const auto& field : object) bytes += field.key.size();
  text_ = std::make_unique<std::string>();
  text_->reserve(bytes);  // never grows, so that the views stay good
  vocabulary_.reserve(object.size());
  for (const auto& field : object) {
    const std::size_t begin = text_->size();
    text_->append(field.key);
    const std::int32_t id = JsonPart(field.value, part.where()).id();
    vocabulary_.insert_or_assign(std::string_view(*text_).substr(begin), id);
    largest_id_ = std::max(largest_id_, id);
  }
}

void Bpe::fill_tables() {
  const std::array<char32_t, 256> characters = byte_alphabet();
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_code_point(character, maps_bytes_ ? characters[byte] : static_cast<char32_t>(byte));
    alphabet_[byte] = id_of(character).value_or(missing);
    fallback_[byte] = id_of(fmt::format("<0x{:02X}>", byte)).value_or(missing);
  }
  alphabet_complete_ = maps_bytes_ && std::find(alphabet_.begin(), alphabet_.end(), missing) == alphabet_.end();
  cuts_at_blanks_ = !maps_bytes_ && id_of(blank).has_value();
}

void Bpe::read_merges(const JsonPart& part) {
  simdjson::dom::array array;
  if (part.element().get(array) != simdjson::SUCCESS) fail(Fault::input, "{} is not an array", part.where());
  merges_ = MergeTable(array.size());
  std::uint32_t rank = 0;
  for (const simdjson::dom::element element : array) {
    std::string_view line;
    std::string_view left, right;
    simdjson::dom::array pair;
    if (element.get(line) == simdjson::SUCCESS) {
      if (line.starts_with("#version")) continue;
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
        fail(Fault::input, "{}[{}] is \"{}\", not two tokens with a space between", part.where(), rank, line);
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else if (element.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
               pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
      fail(Fault::input, "{}[{}] is {}, not two tokens", part.where(), rank, simdjson::minify(element));
    }
    add_merge(left, right, rank++, part.where());
  }
}

void Bpe::add_merge(std::string_view left, std::string_view right, std::uint32_t rank, const std::string& where) {
  const std::string joined = std::string(left) + std::string(right);
  const auto require = [&](std::string_view token) {
    const std::optional<std::int32_t> id = id_of(token);
    if (!id) fail(Fault::input, "{}[{}]: token {} is not in the vocabulary", where, rank, token);
    return *id;
  };
  const std::int32_t left_id = require(left);
  const std::int32_t right_id = require(right);
  merges_.add(left_id, right_id, {rank, require(joined)});
  if (!cuts_at_blanks_ || left.empty() || !right.starts_with(blank)) return;
  const CodePoint last = code_point_before(left, left.size());
  joins_blank_.insert(left_id);  // where it is a symbol itself: <0x0A>, <unk>
  if (const auto id = id_of(left.substr(left.size() - last.bytes))) joins_blank_.insert(*id);
}

std::optional<std::int32_t> Bpe::id_of(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end()) return std::nullopt;
  return found->second;
}

void Bpe::encode(std::string_view word, WordCache& cache, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  if (!cuts_at_blanks_) return encode_part(word, cache, ids);
  if (settings_.ignore_merges) {
    if (const auto id = id_of(word)) return ids.push_back(*id);
  }
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t end = end_of_part(word, begin);
    encode_part(word.substr(begin, end - begin), cache, ids);
    begin = end;
  }
}

// The next place where a blank begins that nothing before it can merge with.
std::size_t Bpe::end_of_part(std::string_view word, std::size_t begin) const {
  std::vector<std::int32_t> symbols;
  for (std::size_t at = begin + 1; (at = word.find(blank, at)) != std::string_view::npos; at += blank.size()) {
    const CodePoint last = code_point_before(word, at);
    symbols.clear();
    const std::string_view character = word.substr(at - last.bytes, last.bytes);
    if (!append_known(character, symbols) && !append_bytes(character, symbols)) {
      if (!settings_.unknown) continue;
      symbols.push_back(unknown_id());
    }
    if (!joins_blank_.contains(symbols.back())) return at;
  }
  return word.size();
}

void Bpe::encode_part(std::string_view word, WordCache& cache, std::vector<std::int32_t>& ids) const {
  const bool remember = word.size() <= WordCache::longest_word;
  const std::uint64_t hash = remember ? WordCache::hash(word) : 0;
  if (remember) {
    if (const auto* known = cache.find(word, hash)) {
      ids.insert(ids.end(), known->begin(), known->end());
      return;
    }
  }
  std::vector<std::int32_t> symbols;
  const std::optional<std::int32_t> whole = settings_.ignore_merges && !cuts_at_blanks_
                                                ? id_of(maps_bytes_ ? to_byte_alphabet(word) : std::string(word))
                                                : std::nullopt;
  if (whole) {
    symbols.push_back(*whole);
  } else {
    to_symbols(word, symbols);
    merge_symbols(symbols, merges_);
  }
  if (remember) cache.add(word, hash, symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

bool Bpe::append_known(std::string_view character, std::vector<std::int32_t>& symbols) const {
  const auto first = static_cast<unsigned char>(character.front());
  const std::int32_t id = !maps_bytes_ && first < 0x80 ? alphabet_[first] : id_of(character).value_or(missing);
  if (id != missing) symbols.push_back(id);
  return id != missing;
}

bool Bpe::append_bytes(std::string_view character, std::vector<std::int32_t>& symbols) const {
  if (!settings_.byte_fallback) return false;
  for (const char byte : character)
    if (fallback_[static_cast<unsigned char>(byte)] == missing) return false;
  for (const char byte : character) symbols.push_back(fallback_[static_cast<unsigned char>(byte)]);
  return true;
}

std::int32_t Bpe::unknown_id() const {
  const std::optional<std::int32_t> id = id_of(*settings_.unknown);
  if (!id)
    fail(Fault::input, "{}: unk_token {} is not in the vocabulary, but the text needs it", where_, *settings_.unknown);
  return *id;
}

void Bpe::to_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const {
  if (alphabet_complete_) {
    symbols.reserve(word.size());
    for (const char byte : word) symbols.push_back(alphabet_[static_cast<unsigned char>(byte)]);
    return;
  }
  const std::string mapped = maps_bytes_ ? to_byte_alphabet(word) : std::string();
  const std::string_view text = maps_bytes_ ? std::string_view(mapped) : word;
  // An unknown token waits for the next known character, so that it can take up the unknown ones after it.
  // Bytes pass it by: Hugging Face's order, kept.
  bool waiting = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, code_point_at(text, at).bytes);
    at += character.size();
    const std::size_t before = symbols.size();
    if (append_known(character, symbols)) {
      if (waiting) symbols.insert(symbols.begin() + static_cast<std::ptrdiff_t>(before), unknown_id());
      waiting = false;
    } else if (!append_bytes(character, symbols) && settings_.unknown) {
      if (waiting && !settings_.fuse_unknown) symbols.push_back(unknown_id());
      waiting = true;
    }
  }
  if (waiting) symbols.push_back(unknown_id());
}

}  // namespace strata::tokenizer
