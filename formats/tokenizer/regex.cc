#include "formats/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "formats/tokenizer/unicode.h"

namespace strata::tokenizer {
namespace {

// JIT code runs on 32 KiB of machine stack; expressions that recurse on long texts get this instead.
constexpr std::size_t large_stack_bytes = std::size_t{256} << 20;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  Code(const std::string& pattern, std::uint32_t options, std::string_view shown, const std::string& where) {
    pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE position = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &position,
                         context);
    pcre2_compile_context_free(context);
    if (code == nullptr) fail(Fault::input, "{}: regular expression {}: {}", where, shown, pcre2_message(error));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT on this machine it runs interpreted
  }
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Regex::Regex(std::string_view oniguruma, const std::string& where)
    : code_(std::make_shared<const Code>(to_pcre2(oniguruma, where), PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, oniguruma,
                                         where)) {}

Regex Regex::literal(std::string_view text) {
  Regex regex;
  regex.code_ = std::make_shared<const Code>(std::string(text), PCRE2_UTF | PCRE2_LITERAL, text, "literal");
  return regex;
}

struct Matches::Data {
  pcre2_match_data* match;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
  explicit Data(const pcre2_code* code) : match(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~Data() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
};

Matches::Matches(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), data_(std::make_unique<Data>(regex.code_->code)) {}

Matches::~Matches() = default;

bool Matches::search() {
  const auto match = [&] {
    return pcre2_match(regex_.code_->code, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), from_,
                       PCRE2_NO_UTF_CHECK, data_->match, data_->context);
  };
  int result = match();
  if (result == PCRE2_ERROR_JIT_STACKLIMIT && data_->stack == nullptr) {
    data_->context = pcre2_match_context_create(nullptr);
    data_->stack = pcre2_jit_stack_create(std::size_t{1} << 16, large_stack_bytes, nullptr);
    pcre2_jit_stack_assign(data_->context, nullptr, data_->stack);
    result = match();
  }
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0)
    fail(Fault::input, "text: splitting it failed {} bytes into a piece of {} bytes: {}", from_, text_.size(),
         pcre2_message(result));
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data_->match);
  begin_ = offsets[0];
  end_ = offsets[1];
  return true;
}

bool Matches::next() {
  const std::size_t last_end = end_;
  while (from_ <= text_.size() && search()) {
    if (begin_ != end_ || !matched_before_ || end_ != last_end) {
      matched_before_ = true;
      from_ = end_;
      return true;
    }
    from_ += from_ < text_.size() ? code_point_at(text_, from_).bytes : 1;
  }
  return false;
}

}  // namespace strata::tokenizer
