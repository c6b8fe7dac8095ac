#include "formats/tokenizer/split.h"

#include <algorithm>

#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {

void take_part(Piece piece, std::size_t begin, std::size_t end, const TakePiece& take) {
  if (begin < end) take({piece.text.substr(begin, end - begin), piece.at_origin && begin == 0});
}

// A match joins the span before it (in the order given), unless that one is a match too.
std::vector<Span> merge_matches(const std::vector<Span>& spans, void (*extend)(Span&, const Span&)) {
  std::vector<Span> parts;
  bool previous_match = false;
  for (const Span& span : spans) {
    if (span.is_match && !previous_match && !parts.empty())
      extend(parts.back(), span);
    else
      parts.push_back(span);
    previous_match = span.is_match;
  }
  return parts;
}

std::vector<Span> merge_equal(const std::vector<Span>& spans) {
  std::vector<Span> parts;
  bool previous_match = false;
  for (const Span& span : spans) {
    if (span.is_match == previous_match && !parts.empty())
      parts.back().end = span.end;
    else
      parts.push_back(span);
    previous_match = span.is_match;
  }
  return parts;
}

}  // namespace

std::vector<Span> apply_behavior(std::vector<Span> spans, Behavior behavior) {
  switch (behavior) {
    case Behavior::isolated:
      return spans;
    case Behavior::removed:
      std::erase_if(spans, [](const Span& span) { return span.is_match; });
      return spans;
    case Behavior::contiguous:
      return merge_equal(spans);
    case Behavior::merged_with_previous:
      return merge_matches(spans, [](Span& part, const Span& span) { part.end = span.end; });
    case Behavior::merged_with_next: {
      std::reverse(spans.begin(), spans.end());
      std::vector<Span> parts = merge_matches(spans, [](Span& part, const Span& span) { part.begin = span.begin; });
      std::reverse(parts.begin(), parts.end());
      return parts;
    }
  }
  return spans;
}

std::vector<Span> spans_of_characters(std::string_view text, bool (*is_match)(char32_t)) {
  std::vector<Span> spans;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    if (is_match(c.value)) {
      if (done < at) spans.push_back({done, at, false});
      spans.push_back({at, at + c.bytes, true});
      done = at + c.bytes;
    }
    at += c.bytes;
  }
  if (done < text.size()) spans.push_back({done, text.size(), false});
  return spans;
}

void take_spans(Piece piece, const std::vector<Span>& spans, const TakePiece& take) {
  for (const Span& span : spans) take_part(piece, span.begin, span.end, take);
}

void split_by_regex(const Split& split, Piece piece, const TakePiece& take) {
  Matches match(split.regex, piece.text);
  std::size_t done = 0;
  if (split.behavior == Behavior::isolated) {  // nearly every tokenizer: no list of spans needed
    for (; match.next(); done = match.end()) {
      take_part(piece, done, match.begin(), take);
      take_part(piece, match.begin(), match.end(), take);
    }
    return take_part(piece, done, piece.text.size(), take);
  }
  std::vector<Span> spans;
  for (; match.next(); done = match.end()) {
    if (done != match.begin()) spans.push_back({done, match.begin(), split.invert});
    spans.push_back({match.begin(), match.end(), !split.invert});
  }
  if (done != piece.text.size()) spans.push_back({done, piece.text.size(), split.invert});
  take_spans(piece, apply_behavior(std::move(spans), split.behavior), take);
}

}  // namespace strata::tokenizer
