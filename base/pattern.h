// Patterns over module names, as users type them and as quantization_config holds them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace strata {

// "re:EXPR" is a regular expression matched from the start of the name but not to its end, as
// compressed-tensors and vLLM match (Python's re.match). Anything else is a glob over the whole name
// (* and ?); without a wildcard it is the exact name. Thread-safe.
class Pattern {
 public:
  explicit Pattern(std::string text);  // Error{usage} when the expression is broken, with the position
  bool matches(std::string_view name) const;
  const std::string& text() const { return text_; }

 private:
  struct Compiled;
  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace strata
