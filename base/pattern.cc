#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/pattern.h"

#include <pcre2.h>

#include "base/error.h"

namespace strata {
namespace {

std::string expression_of(std::string_view text) {
  if (text.starts_with("re:")) return std::string(text.substr(3));
  std::string expression = "(?:";
  for (const char c : text) {
    if (c == '*')
      expression += ".*";
    else if (c == '?')
      expression += '.';
    else if (std::string_view("\\^$.|+()[]{}").find(c) != std::string_view::npos)
      expression.append({'\\', c});
    else
      expression += c;
  }
  return expression + ")\\z";
}

}  // namespace

struct Pattern::Compiled {
  pcre2_code* code = nullptr;
  ~Compiled() { pcre2_code_free(code); }
};

Pattern::Pattern(std::string text) : text_(std::move(text)) {
  const std::string expression = expression_of(text_);
  int error = 0;
  PCRE2_SIZE position = 0;
  auto compiled = std::make_shared<Compiled>();
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                 PCRE2_UTF | PCRE2_ANCHORED | PCRE2_DOTALL, &error, &position, nullptr);
  if (compiled->code == nullptr) {
    PCRE2_UCHAR message[200] = {};
    pcre2_get_error_message(error, message, sizeof message);
    fail(Fault::usage, "pattern '{}': {} at character {}", text_, reinterpret_cast<const char*>(message), position);
  }
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);
  compiled_ = std::move(compiled);
}

bool Pattern::matches(std::string_view name) const {
  pcre2_match_data* const data = pcre2_match_data_create(1, nullptr);
  const int found =
      pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data, nullptr);
  pcre2_match_data_free(data);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH)
    fail(Fault::usage, "pattern '{}': gave up on '{}' (PCRE2 error {}); simplify it", text_, name, found);
  return found >= 0;
}

}  // namespace strata
