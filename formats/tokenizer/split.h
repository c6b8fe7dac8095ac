// Cutting a piece of text at matches.
#pragma once

#include <cstddef>
#include <vector>

#include "formats/tokenizer/pre_tokenizer.h"

namespace strata::tokenizer {

struct Span {
  std::size_t begin = 0, end = 0;
  bool is_match = false;
};

// The parts of a text whose spans lie one after the other, by Hugging Face's rules; parts may be empty.
std::vector<Span> apply_behavior(std::vector<Span> spans, Behavior behavior);

// The spans of the characters for which `is_match` holds, one span each, and of the text between them.
std::vector<Span> spans_of_characters(std::string_view text, bool (*is_match)(char32_t));

void split_by_regex(const Split& split, Piece piece, const TakePiece& take);
void take_spans(Piece piece, const std::vector<Span>& spans, const TakePiece& take);

}  // namespace strata::tokenizer
