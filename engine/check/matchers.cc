#include "engine/check/matchers.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "formats/config/scheme.h"

namespace strata {
namespace {

bool is_expression(std::string_view target) { return target.starts_with("re:"); }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

std::string Match::text() const {
  switch (kind) {
    case Kind::group:
      return fmt::format("{} (by {})", format == nullptr ? "no known format" : format->name,
                         target.size() <= 60 ? target : target.substr(0, 60) + "...");
    case Kind::dense:
      return "dense";
    case Kind::unmatched:
      return "unmatched";
    case Kind::torn:
      return "refused: ignored in part";
  }
  return "";
}

TargetTable::TargetTable(const Config& section) {
  const std::string top_format = section.text_or("format", "");
  std::size_t order = 0;
  const Config groups = section.section("config_groups");
  for (const std::string& name : groups.keys()) {
    const Config group = groups.section(name);
    if (!group.has("weights")) continue;  // of the attention: says nothing about Linears
    const NumberFormat* const format =
        number_format_of(parse_scheme(group, top_format == "mixed-precision" ? "" : top_format));
    for (const std::string& text : group.texts("targets")) {
      const Target target{text, format, order++};
      if (is_expression(text))
        expressions_.push_back({Pattern(text), target});
      else
        names_[text].push_back(target);
      if (text.find('.') == std::string::npos) classes_.push_back(target);
    }
  }
  if (!section.has("ignore")) return;
  for (const std::string& text : section.texts("ignore")) {
    if (is_expression(text))
      ignored_.emplace_back(text);
    else
      ignored_names_.insert(text);
  }
}

bool TargetTable::ignored(std::string_view name) const {
  return ignored_names_.contains(name) ||
         std::ranges::any_of(ignored_, [&](const Pattern& pattern) { return pattern.matches(name); });
}

std::vector<const NumberFormat*> TargetTable::named_by(std::string_view name) const {
  std::vector<const NumberFormat*> formats;
  if (const auto found = names_.find(std::string(name)); found != names_.end())
    for (const Target& target : found->second) formats.push_back(target.format);
  for (const Expression& expression : expressions_)
    if (expression.pattern.matches(name)) formats.push_back(expression.target.format);
  return formats;
}

// Exact names, then expressions in the order of their text, then the class; of equal texts the last group's.
Match TargetTable::transformers(std::string_view name) const {
  if (ignored(name) || ignored_names_.contains("Linear")) return {.kind = Match::Kind::dense, .target = {}};
  const auto matched = [](const Target& target) {
    return Match{.kind = Match::Kind::group, .format = target.format, .target = target.text};
  };
  if (const auto found = names_.find(std::string(name)); found != names_.end()) return matched(found->second.back());
  const Target* best = nullptr;
  for (const Expression& expression : expressions_)
    if (expression.pattern.matches(name) && (best == nullptr || expression.target.text <= best->text))
      best = &expression.target;
  if (best != nullptr) return matched(*best);
  if (const auto found = names_.find("Linear"); found != names_.end()) return matched(found->second.back());
  return {};
}

const TargetTable::Target* TargetTable::first_by_name(std::string_view name) const {
  const Target* best = nullptr;
  if (const auto found = names_.find(std::string(name)); found != names_.end()) best = &found->second.front();
  for (const Expression& expression : expressions_) {
    if (best != nullptr && best->order < expression.target.order) break;
    if (expression.pattern.matches(name)) return &expression.target;
  }
  return best;
}

// Any target that is a part of the class's name, without regard to case.
const TargetTable::Target* TargetTable::first_by_class(std::string_view class_name) const {
  const std::string wanted = lower(class_name);
  for (const Target& target : classes_)
    if (!is_expression(target.text) && wanted.find(lower(target.text)) != std::string::npos) return &target;
  return nullptr;
}

// All members must be matched; the first one's target counts.
const TargetTable::Target* TargetTable::by_members(const ServedModule& module) const {
  const Target* first = nullptr;
  for (const std::string& shard : module.shards) {
    const Target* const target = first_by_name(shard);
    if (target == nullptr) return nullptr;
    if (first == nullptr) first = target;
  }
  return first;
}

Match TargetTable::vllm(const ServedModule& module, bool old) const {
  const std::vector<std::string> names = module.shards.empty() ? std::vector{module.name} : module.shards;
  const auto out = std::ranges::count_if(names, [&](const std::string& name) { return ignored(name); });
  if (out == std::ssize(names)) return {.kind = Match::Kind::dense, .target = {}};
  if (out > 0) return {.kind = Match::Kind::torn, .target = {}};
  const Target* target = first_by_name(module.name);
  if (target == nullptr && old) target = first_by_class(module.class_name);
  if (target == nullptr) target = by_members(module);
  if (target == nullptr) target = first_by_class(module.class_name);
  if (target == nullptr) return {};
  return {.kind = Match::Kind::group, .format = target->format, .target = target->text};
}

}  // namespace strata
