#include "formats/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/tokenizer/byte_level.h"
#include "formats/tokenizer/split.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {

constexpr std::string_view gpt2_words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Far more than any tokenizer has. Steps call each other, and each ByteLevel may double the text.
constexpr std::size_t most_steps = 64, most_byte_levels = 8;

Split parse_split(const JsonPart& part) {
  part.allow_only({"type", "pattern", "behavior", "invert"});
  static constexpr std::array<std::string_view, 5> names = {"Removed", "Isolated", "MergedWithPrevious",
                                                            "MergedWithNext", "Contiguous"};
  const JsonPart behavior = part.at("behavior");
  std::size_t index = 0;
  while (index < names.size() && names[index] != behavior.text()) ++index;
  if (index == names.size()) fail(Fault::input, "{}: {} is not known", behavior.where(), behavior.text());
  const JsonPart pattern = part.at("pattern");
  pattern.allow_only({"String", "Regex"});
  Regex regex =
      pattern.find("Regex") ? Regex(pattern.text("Regex"), pattern.where()) : Regex::literal(pattern.text("String"));
  return {std::move(regex), static_cast<Behavior>(index), part.boolean("invert")};
}

Metaspace parse_metaspace(const JsonPart& part) {
  part.allow_only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
  Metaspace metaspace;
  metaspace.replacement = part.text("replacement");
  if (count_code_points(metaspace.replacement) != 1)
    fail(Fault::input, "{}: replacement {} is not one character", part.where(), metaspace.replacement);
  const std::string_view scheme = part.find("prepend_scheme") ? part.text("prepend_scheme") : "always";
  if (scheme == "always")
    metaspace.prepend = Metaspace::Prepend::always;
  else if (scheme == "first")
    metaspace.prepend = Metaspace::Prepend::first;
  else if (scheme == "never")
    metaspace.prepend = Metaspace::Prepend::never;
  else
    fail(Fault::input, "{}: prepend_scheme {} is not known", part.where(), scheme);
  if (!part.boolean_or("add_prefix_space", true)) {
    if (part.find("prepend_scheme") && metaspace.prepend != Metaspace::Prepend::never)
      fail(Fault::input, "{}: add_prefix_space is false but prepend_scheme is {}", part.where(), scheme);
    metaspace.prepend = Metaspace::Prepend::never;
  }
  metaspace.split = part.boolean_or("split", true);
  return metaspace;
}

// Each calls `take` with the pieces that the step makes of one.
struct Cut {
  Piece piece;
  const TakePiece& take;

  void operator()(const Split& split) const { split_by_regex(split, piece, take); }

  void operator()(const ByteLevel& level) const {
    std::string text;
    Piece out = piece;
    if (level.add_prefix_space && !piece.text.starts_with(' ')) {
      text = " " + std::string(piece.text);
      out.text = text;
    }
    if (level.map_bytes) {
      text = to_byte_alphabet(out.text);
      out.text = text;
    }
    take(out);
  }

  void operator()(Digits digits) const {
    take_spans(piece,
               apply_behavior(spans_of_characters(piece.text, is_numeric),
                              digits.individual ? Behavior::isolated : Behavior::contiguous),
               take);
  }

  void operator()(const Metaspace& metaspace) const {
    std::string text;
    text.reserve(piece.text.size() + piece.text.size() / 2);
    for (const char c : piece.text) c == ' ' ? text += metaspace.replacement : text += c;
    const bool wanted = metaspace.prepend == Metaspace::Prepend::always ||
                        (metaspace.prepend == Metaspace::Prepend::first && piece.at_origin);
    if (wanted && !text.starts_with(metaspace.replacement)) text.insert(0, metaspace.replacement);
    if (!metaspace.split) return take({text, piece.at_origin});
    // Each replacement begins a word.
    std::size_t begin = 0;
    while (begin < text.size()) {
      const std::size_t end = std::min(text.find(metaspace.replacement, begin + 1), text.size());
      take({std::string_view(text).substr(begin, end - begin), piece.at_origin && begin == 0});
      begin = end;
    }
  }

  void operator()(WhitespaceWords) const {
    const std::string_view text = piece.text;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      const bool word = is_word(code_point_at(text, at).value);
      while (at < text.size() && !is_white_space(code_point_at(text, at).value) &&
             is_word(code_point_at(text, at).value) == word)
        at += code_point_at(text, at).bytes;
      if (at > begin)
        take({text.substr(begin, at - begin), piece.at_origin && begin == 0});
      else
        at += code_point_at(text, at).bytes;
    }
  }

  void operator()(WhitespaceSplit) const {
    take_spans(piece, apply_behavior(spans_of_characters(piece.text, is_white_space), Behavior::removed), take);
  }
};

}  // namespace

PreTokenizer PreTokenizer::parse(const JsonPart& part) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.add(part);
  pre_tokenizer.check_steps(part);
  if (pre_tokenizer.steps_.empty()) return pre_tokenizer;
  if (auto* level = std::get_if<ByteLevel>(&pre_tokenizer.steps_.back())) {
    level->map_bytes = false;
    pre_tokenizer.leaves_bytes_ = true;
  }
  return pre_tokenizer;
}

void PreTokenizer::check_steps(const JsonPart& part) const {
  if (steps_.size() > most_steps)
    fail(Fault::input, "{}: has {} steps, at most {} are supported", part.where(), steps_.size(), most_steps);
  const auto is_byte_level = [](const Step& step) { return std::holds_alternative<ByteLevel>(step); };
  const auto byte_levels = static_cast<std::size_t>(std::ranges::count_if(steps_, is_byte_level));
  if (byte_levels > most_byte_levels)
    fail(Fault::input, "{}: has {} ByteLevel steps, at most {} are supported", part.where(), byte_levels,
         most_byte_levels);
}

void PreTokenizer::add(const JsonPart& part) {
  const std::string_view type = part.text("type");
  if (type == "Sequence") {
    part.allow_only({"type", "pretokenizers"});
    for (const JsonPart& item : part.at("pretokenizers").items()) add(item);
  } else if (type == "Split") {
    steps_.emplace_back(parse_split(part));
  } else if (type == "ByteLevel") {
    add_byte_level(part);
  } else if (type == "Digits") {
    part.allow_only({"type", "individual_digits"});
    steps_.emplace_back(Digits{part.boolean("individual_digits")});
  } else if (type == "Metaspace") {
    steps_.emplace_back(parse_metaspace(part));
  } else if (type == "Whitespace" || type == "WhitespaceSplit") {
    part.allow_only({"type"});
    if (type == "Whitespace")
      steps_.emplace_back(WhitespaceWords{});
    else
      steps_.emplace_back(WhitespaceSplit{});
  } else {
    fail(Fault::input, "{}: pre-tokenizer {} is not supported; pass token ids in a .safetensors file instead",
         part.where(), type);
  }
}

// The prefix space goes in before the words are cut, the bytes are mapped after.
void PreTokenizer::add_byte_level(const JsonPart& part) {
  part.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  const bool use_regex = part.boolean_or("use_regex", true);
  const bool add_prefix_space = part.boolean("add_prefix_space");
  if (use_regex) {
    if (add_prefix_space) steps_.emplace_back(ByteLevel{true, false});
    steps_.emplace_back(Split{Regex(gpt2_words, part.where()), Behavior::isolated, false});
    steps_.emplace_back(ByteLevel{false, true});
  } else {
    steps_.emplace_back(ByteLevel{add_prefix_space, true});
  }
}

void PreTokenizer::run(std::size_t step, Piece piece, const TakePiece& take) const {
  if (piece.text.empty()) return;
  if (step == steps_.size()) return take(piece);
  std::visit(Cut{piece, [&](Piece part) { run(step + 1, part, take); }}, steps_[step]);
}

}  // namespace strata::tokenizer
