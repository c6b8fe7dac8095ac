#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/tokenizer/regex.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {

// Scripts by PCRE2's name. What Unicode 15 and 16 added to them; other scripts are refused.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> scripts{{
    {"han", "\\p{sc:Han}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {"hangul", "\\p{sc:Hangul}"},
    {"hiragana", "\\p{sc:Hiragana}\\x{1b132}"},
    {"katakana", "\\p{sc:Katakana}\\x{1b155}"},
}};

// Letters that Unicode folds together: Oniguruma matches one character for both, PCRE2 does not.
constexpr auto folded_pairs = std::to_array<std::string_view>({"ff", "fi", "fl", "ss", "st"});

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// The inside of a character class for a general category or a group of them ("L", "Nd"); empty when the
// name is none.
std::string category_class(std::string_view name) {
  static constexpr std::string_view known =
      " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp ";
  if (name.empty() || name.size() > 2 || known.find(" " + std::string(name) + " ") == std::string_view::npos) return {};
  std::string text = "\\p{" + std::string(name) + "}";
  for (const CategoryRange& range : later_than_unicode_14())
    if (std::string_view(range.category).starts_with(name))
      text += range.first == range.last ? fmt::format("\\x{{{:x}}}", static_cast<unsigned>(range.first))
                                        : fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<unsigned>(range.first),
                                                      static_cast<unsigned>(range.last));
  return text;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  std::string run() {
    if (pattern_.starts_with("(?i)")) {  // only here does it mean the same to both engines
      out_ = "(?i)";
      at_ = 4;
      ignore_case_ = 1;
    }
    while (at_ < pattern_.size()) item();
    return std::move(out_);
  }

 private:
  struct Group {
    std::size_t start;
    bool ignores_case;
  };

  [[noreturn]] void refuse(std::string_view what) const {
    fail(
        Fault::input,
        "{}: regular expression {}: {} at character {} is not supported; pass token ids in a .safetensors file instead",
        where_, pattern_, what, count_code_points(pattern_.substr(0, at_)) + 1);
  }

  char peek(std::size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }

  void item() {
    const char c = peek();
    switch (c) {
      case '(':
        return open();
      case ')':
        return close();
      case '[':
        return bracket();
      case '\\': {
        atom_ = out_.size();
        const Escape escape = read_escape();
        return emit(escape);
      }
      case '*':
      case '+':
      case '?':
        out_ += c;
        ++at_;
        return;
      case '{':
        return interval();
      case '|':
      case '^':
      case '$':
        out_ += c;
        ++at_;
        return;
      default:
        return literal();
    }
  }

  void literal() {
    const std::size_t bytes = code_point_at(pattern_, at_).bytes;
    if (ignore_case_ > 0) {
      if (bytes > 1) refuse("a letter that is not ASCII where case is ignored");
      if (std::find(folded_pairs.begin(), folded_pairs.end(), lower(pattern_.substr(at_, 2))) != folded_pairs.end())
        refuse("a pair of letters that has a ligature, where case is ignored,");
    }
    atom_ = out_.size();
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }

  void open() {
    static constexpr auto kinds = std::to_array<std::string_view>({"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:"});
    std::string_view kind = "(";
    if (peek(1) == '?') {
      const auto* found = std::find_if(kinds.begin(), kinds.end(),
                                       [&](std::string_view k) { return pattern_.substr(at_).starts_with(k); });
      if (found == kinds.end()) refuse("the group " + std::string(pattern_.substr(at_, 4)));
      kind = *found;
    }
    groups_.push_back({out_.size(), kind == "(?i:"});
    ignore_case_ += kind == "(?i:" ? 1 : 0;
    out_ += kind;
    at_ += kind.size();
  }

  void close() {
    if (groups_.empty()) refuse("a closing parenthesis without its opening one");
    atom_ = groups_.back().start;
    ignore_case_ -= groups_.back().ignores_case ? 1 : 0;
    groups_.pop_back();
    out_ += ')';
    ++at_;
  }

  // {n}, {n,}, {n,m} and {,m}; any other brace is itself. X{n,m}+ is (?:X{n,m})+, not a possessive repeat.
  void interval() {
    const std::size_t end = pattern_.find('}', at_);
    const std::string_view inside = end == std::string_view::npos ? "" : pattern_.substr(at_ + 1, end - at_ - 1);
    const bool numbers =
        std::all_of(inside.begin(), inside.end(), [](unsigned char c) { return std::isdigit(c) || c == ','; });
    if (inside.empty() || inside == "," || !numbers || std::count(inside.begin(), inside.end(), ',') > 1) {
      atom_ = out_.size();
      out_ += "\\{";
      ++at_;
      return;
    }
    out_ += (inside.front() == ',' ? "{0" : "{") + std::string(inside) + "}";
    at_ = end + 1;
    if (peek() == '?' && inside.find(',') == std::string_view::npos) refuse("{n}?");
    if (peek() == '+') {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
  }

  // What stands after a backslash: the inside of a character class, or the class that is its opposite.
  struct Escape {
    std::string inside;
    bool is_class = false, negated = false;
  };

  void emit(const Escape& escape) {
    if (!escape.is_class)
      out_ += escape.inside;
    else
      out_ += (escape.negated ? "[^" : "[") + escape.inside + "]";
  }

  Escape read_escape() {
    const char c = peek(1);
    if (c == '\0') refuse("a backslash at the end");
    const bool upper = std::isupper(static_cast<unsigned char>(c)) != 0;
    switch (c) {
      case 's':
      case 'S':
        at_ += 2;
        return {"\\p{White_Space}", true, upper};
      case 'd':
      case 'D':
        at_ += 2;
        return {category_class("Nd"), true, upper};
      case 'h':
      case 'H':
        at_ += 2;
        return {"0-9A-Fa-f", true, upper};
      case 'w':
      case 'W':
        at_ += 2;
        return {category_class("L") + category_class("M") + category_class("Nd") + "\\p{Nl}\\p{Pc}" +
                    "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}"
                    "\\x{1f170}-\\x{1f189}",
                true, upper};
      case 'p':
      case 'P':
        return read_property();
      case 'x':
      case 'u':
        return {read_code(), false, false};
      case 't':
      case 'n':
      case 'r':
      case 'f':
      case 'e':
      case 'a': {
        at_ += 2;
        return {std::string("\\") + c, false, false};
      }
      case 'v':
        at_ += 2;
        return {"\\x{b}", false, false};
      default:
        break;
    }
    if (std::isalnum(static_cast<unsigned char>(c))) refuse(std::string("\\") + c);
    const std::size_t bytes = code_point_at(pattern_, at_ + 1).bytes;
    Escape escape{std::string(pattern_.substr(at_, 1 + bytes)), false, false};
    at_ += 1 + bytes;
    return escape;
  }

  Escape read_property() {
    const std::size_t end = pattern_.find('}', at_);
    if (peek(2) != '{' || end == std::string_view::npos) refuse("\\p without {name}");
    std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    bool negated = peek(1) == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    std::string inside = category_class(name);
    for (const auto& [script, text] : scripts)
      if (lower(name) == script) inside = text;
    if (inside.empty()) refuse("\\p{" + std::string(name) + "}");
    at_ = end + 1;
    return {std::move(inside), true, negated};
  }

  // \xHH, \x{H...} and \uHHHH.
  std::string read_code() {
    std::size_t first = at_ + 2, last = first;
    if (peek(1) == 'u') {
      last = first + 4;
    } else if (peek(2) == '{') {
      ++first;
      last = std::min(pattern_.find('}', first), pattern_.size());
    } else {
      last = first + 2;
    }
    const std::string_view digits = pattern_.substr(first, last - first);
    const bool hexadecimal =
        std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
    if (digits.empty() || digits.size() != last - first || !hexadecimal) refuse("a broken character code");
    if (peek(1) == 'x' && peek(2) != '{' && digits[0] > '7') refuse("\\x of a byte that is not ASCII");
    at_ = last + (peek(1) == 'x' && peek(2) == '{' ? 1 : 0);
    return "\\x{" + std::string(digits) + "}";
  }

  void bracket() {
    const std::size_t start = at_++;
    atom_ = out_.size();
    out_ += '[';
    if (peek() == '^') {
      out_ += '^';
      ++at_;
    }
    if (peek() == ']') refuse("an empty character class");
    while (peek() != ']') {
      if (at_ >= pattern_.size()) {
        at_ = start;
        refuse("a character class without its end");
      }
      class_item();
    }
    out_ += ']';
    ++at_;
  }

  void class_item() {
    if (peek() == '[') refuse("a character class inside another");
    if (peek() == '&' && peek(1) == '&') refuse("&& in a character class");
    if (peek() != '\\') {
      const std::size_t bytes = code_point_at(pattern_, at_).bytes;
      if (bytes > 1 && ignore_case_ > 0) refuse("a letter that is not ASCII where case is ignored");
      out_ += pattern_.substr(at_, bytes);
      at_ += bytes;
      return;
    }
    const std::size_t start = at_;
    const Escape escape = read_escape();
    if (!escape.is_class) {
      out_ += escape.inside;
      return;
    }
    if (escape.negated && escape.inside != "\\p{White_Space}") {
      at_ = start;
      refuse("a negated property in a character class");
    }
    if (peek() == '-' && peek(1) != ']') refuse("a range that begins with a class");
    out_ += escape.negated ? "\\P{White_Space}" : escape.inside;
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  std::size_t at_ = 0, atom_ = 0;
  std::vector<Group> groups_;
  int ignore_case_ = 0;
};

}  // namespace

std::string to_pcre2(std::string_view oniguruma, const std::string& where) {
  return Translator(oniguruma, where).run();
}

}  // namespace strata::tokenizer
