#include "engine/plan/pattern_rules.h"

#include "base/error.h"

namespace strata {

PatternRules::PatternRules(const AssignmentRequest& request) {
  for (const std::string& pattern : request.ignore)
    rules_.emplace_back(Pattern(pattern), fmt::format("--ignore {}", pattern));
  for (std::size_t i = request.overrides.size(); i-- > 0;) {
    const auto& [pattern, format] = request.overrides[i];
    rules_.emplace_back(Pattern(pattern), fmt::format("--override {}={}", pattern, format));
  }
}

std::string PatternRules::of(const LinearSpec& linear) const {
  for (const auto& [pattern, text] : rules_)
    if (pattern.matches(linear.module)) return text;
  return "";
}

}  // namespace strata
