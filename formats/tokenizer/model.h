// Everything a tokenizer.json says.
#pragma once

#include "formats/tokenizer/added_tokens.h"
#include "formats/tokenizer/bpe.h"
#include "formats/tokenizer/normalizer.h"
#include "formats/tokenizer/post_processor.h"
#include "formats/tokenizer/pre_tokenizer.h"
#include "formats/tokenizer/tokenizer.h"
#include "formats/tokenizer/word_cache.h"

namespace strata {

struct Tokenizer::Model {
  tokenizer::Normalizer normalizer;
  tokenizer::PreTokenizer pre_tokenizer;
  tokenizer::Bpe bpe;
  tokenizer::AddedTokens added;
  tokenizer::PostProcessor post_processor;
  std::map<std::string, std::string> special_tokens;
  mutable tokenizer::WordCachePool caches;
};

}  // namespace strata
