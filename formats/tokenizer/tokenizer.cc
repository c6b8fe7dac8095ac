#include "formats/tokenizer/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "formats/tokenizer/model.h"
#include "formats/tokenizer/unicode.h"

namespace strata {

using tokenizer::AddedToken;
using tokenizer::AddedTokens;
using tokenizer::Piece;

Tokenizer::Tokenizer(std::unique_ptr<const Model> model) : model_(std::move(model)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (const auto at = tokenizer::first_invalid_utf8(text))
    fail(Fault::input, "text: byte {} is not valid UTF-8 (0x{:02x})", *at, static_cast<unsigned char>(text[*at]));
  const Model& m = *model_;
  const std::vector<TokenId> none;
  std::vector<TokenId> ids = add_special_tokens ? m.post_processor.before : none;
  auto cache = m.caches.borrow();
  const auto take_word = [&](Piece word) { m.bpe.encode(word.text, *cache, ids); };
  const auto take_normalized = [&](Piece piece, const AddedToken* token) {
    if (token != nullptr)
      ids.push_back(token->id);
    else
      m.pre_tokenizer.split(piece, take_word);
  };
  const auto take_raw = [&](Piece piece, const AddedToken* token) {
    if (token != nullptr) return ids.push_back(token->id);
    std::string buffer;
    m.added.split(m.normalizer.apply(piece, buffer), AddedTokens::Text::normalized, take_normalized);
  };
  m.added.split({text, true}, AddedTokens::Text::raw, take_raw);
  if (add_special_tokens) ids.insert(ids.end(), m.post_processor.after.begin(), m.post_processor.after.end());
  return ids;
}

std::optional<TokenId> Tokenizer::id_of(std::string_view token) const {
  const AddedToken* const added = model_->added.find(token);
  return added != nullptr ? added->id : model_->bpe.id_of(token);
}

const std::map<std::string, std::string>& Tokenizer::special_tokens() const { return model_->special_tokens; }

std::int64_t Tokenizer::vocabulary_size() const {
  std::int64_t largest = model_->bpe.largest_id();
  for (const AddedToken& token : model_->added.tokens()) largest = std::max<std::int64_t>(largest, token.id);
  return largest + 1;
}

}  // namespace strata
