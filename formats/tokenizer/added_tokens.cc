#include "formats/tokenizer/added_tokens.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {

const std::uint32_t* Trie::child(std::uint32_t node, unsigned char byte) const {
  for (const auto& [label, next] : nodes_[node].children)
    if (label == byte) return &next;
  return nullptr;
}

void Trie::add(std::string_view text, std::size_t value) {
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (const std::uint32_t* next = child(node, byte)) {
      node = *next;
      continue;
    }
    const auto fresh = static_cast<std::uint32_t>(nodes_.size());
    nodes_[node].children.emplace_back(byte, fresh);
    if (node == 0) first_[byte] = fresh;
    nodes_.emplace_back();
    node = fresh;
  }
  if (!nodes_[node].value) nodes_[node].value = value;
}

std::optional<Trie::Match> Trie::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::uint32_t node = first_[static_cast<unsigned char>(text[begin])];
    if (node == 0) continue;
    std::optional<Match> longest;
    for (std::size_t end = begin + 1;; ++end) {
      if (nodes_[node].value) longest = Match{begin, end, *nodes_[node].value};
      if (end == text.size()) break;
      const std::uint32_t* next = child(node, static_cast<unsigned char>(text[end]));
      if (next == nullptr) break;
      node = *next;
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

namespace {

AddedToken parse_token(const JsonPart& part) {
  part.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  part.at("id").id();
  AddedToken token;
  token.content = part.text("content");
  token.single_word = part.boolean("single_word");
  token.lstrip = part.boolean("lstrip");
  token.rstrip = part.boolean("rstrip");
  token.normalized = part.boolean("normalized");
  token.special = part.boolean("special");
  return token;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool left = begin == 0 || !is_word(code_point_before(text, begin).value);
  const bool right = end == text.size() || !is_word(code_point_at(text, end).value);
  return left && right;
}

std::size_t skip_space_back(std::string_view text, std::size_t at) {
  while (at > 0 && is_white_space(code_point_before(text, at).value)) at -= code_point_before(text, at).bytes;
  return at;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_white_space(code_point_at(text, at).value)) at += code_point_at(text, at).bytes;
  return at;
}

}  // namespace

bool AddedToken::same_as(const AddedToken& other) const {
  return content == other.content && single_word == other.single_word && lstrip == other.lstrip &&
         rstrip == other.rstrip && normalized == other.normalized && special == other.special;
}

void AddedTokens::read(const JsonPart& part, const BaseVocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  std::unordered_set<std::string> seen;
  for (const JsonPart& item : part.items()) {
    AddedToken token = parse_token(item);
    if (!token.content.empty() && !seen.insert(token.content).second)
      fail(Fault::input, "{}: added token {} stands twice", item.where(), token.content);
    tokens.push_back(std::move(token));
  }
  add(tokens, vocabulary, part.where());
}

void AddedTokens::add(std::span<const AddedToken> tokens, const BaseVocabulary& vocabulary, std::string_view where) {
  auto next_id = static_cast<std::int32_t>(vocabulary.size);
  for (const AddedToken& token : tokens_) next_id = std::max(next_id, token.id + 1);
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    const auto [found, is_new] = places_.emplace(token.content, tokens_.size());
    if (is_new) {
      tokens_.push_back(token);
      const std::optional<std::int32_t> known = vocabulary.id_of(token.content);
      tokens_.back().id = known ? *known : next_id++;
      continue;
    }
    AddedToken& old = tokens_[found->second];
    if (old.normalized != token.normalized)
      fail(Fault::input,
           "{}: token {} is declared with normalized {}, but in another place with {}, and versions of tokenizers "
           "differ "
           "in which they take; make them equal, or pass token ids in a .safetensors file instead",
           where, token.content, token.normalized, old.normalized);
    const std::int32_t id = old.id;
    old = token;
    old.id = id;
  }
}

void AddedTokens::index(const Normalizer& normalizer, const std::string& where) {
  // Where two normalize to the same text the special one wins, then the first.
  for (const bool special : {true, false}) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const AddedToken& token = tokens_[i];
      if (token.special != special) continue;
      if (!token.normalized) {
        raw_.add(token.content, i);
        continue;
      }
      const std::string text = normalizer.apply(token.content);
      if (text.empty()) fail(Fault::input, "{}: added token {} is empty after normalizing", where, token.content);
      normalized_.add(text, i);
    }
  }
}

void AddedTokens::split(Piece piece, Text kind, const Take& take) const {
  const std::string_view text = piece.text;
  if (text.empty()) return;
  const Trie& trie = kind == Text::raw ? raw_ : normalized_;
  const auto part = [&](std::size_t begin, std::size_t end) {
    return Piece{text.substr(begin, end - begin), piece.at_origin && begin == 0};
  };
  std::size_t done = 0, from = 0;
  while (!trie.empty()) {
    const std::optional<Trie::Match> match = trie.find(text, from);
    if (!match) break;
    from = match->end;
    const AddedToken& token = tokens_[match->value];
    if (token.single_word && !stands_alone(text, match->begin, match->end)) continue;
    const std::size_t begin = token.lstrip ? std::max(skip_space_back(text, match->begin), done) : match->begin;
    const std::size_t end = token.rstrip ? skip_space(text, match->end) : match->end;
    if (done < begin) take(part(done, begin), nullptr);
    take(part(begin, end), &token);
    done = end;
  }
  if (done < text.size()) take(part(done, text.size()), nullptr);
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = places_.find(std::string(content));
  return found == places_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace strata::tokenizer
