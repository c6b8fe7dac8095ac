#include "tests/support/loader_matchers.h"

#include <regex.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace strata::test {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_expression(const std::string& target) { return target.starts_with("re:"); }

}  // namespace

// An expression of the C library's engine; ours have no construct that it lacks but "(?:".
class LoaderMatchers::Expression {
 public:
  explicit Expression(std::string text) {
    for (std::size_t at = 0; (at = text.find("(?:")) != std::string::npos;) text.erase(at + 1, 2);
    if (regcomp(&compiled_, text.c_str(), REG_EXTENDED) != 0) throw std::runtime_error("broken expression " + text);
  }
  Expression(const Expression&) = delete;
  ~Expression() { regfree(&compiled_); }
  bool matches_from_start(const std::string& name) const {
    regmatch_t where = {};
    return regexec(&compiled_, name.c_str(), 1, &where, 0) == 0 && where.rm_so == 0;
  }

 private:
  regex_t compiled_ = {};
};

LoaderMatchers::LoaderMatchers(std::string_view config_json) {
  const auto config = nlohmann::ordered_json::parse(config_json);
  if (!config.contains("quantization_config")) return;
  section_ = config["quantization_config"];
  for (const auto& [name, group] : section_["config_groups"].items()) {
    groups_.push_back(name);
    for (const auto& target : group["targets"]) targets_.push_back({target.get<std::string>(), name});
  }
  for (const auto& entry : section_["ignore"]) ignore_.push_back(entry.get<std::string>());
}

bool LoaderMatchers::matches(const std::string& target, const std::string& name) {
  if (!is_expression(target)) return target == name;
  std::shared_ptr<Expression>& expression = compiled_[target];
  if (expression == nullptr) expression = std::make_shared<Expression>(target.substr(3));
  return expression->matches_from_start(name);
}

bool LoaderMatchers::ignored(const std::string& name, const std::string& class_name) {
  return std::any_of(ignore_.begin(), ignore_.end(),
                     [&](const std::string& entry) { return entry == class_name || matches(entry, name); });
}

std::optional<std::string> LoaderMatchers::by_transformers(const std::string& name, const std::string& class_name) {
  if (ignored(name, class_name)) return std::nullopt;
  // Exact names, then expressions, then classes, each in the order of their text.
  std::vector<std::pair<int, std::string>> found;
  std::map<std::string, std::string> group_of;  // of equal texts the last group counts
  for (const Target& target : targets_) {
    group_of[target.text] = target.group;
    if (matches(target.text, name))
      found.emplace_back(is_expression(target.text) ? 1 : 0, target.text);
    else if (target.text == class_name)
      found.emplace_back(2, target.text);
  }
  if (found.empty()) return std::nullopt;
  return group_of.at(std::min_element(found.begin(), found.end())->second);
}

std::optional<std::string> LoaderMatchers::first_by_name(const std::string& name) {
  for (const Target& target : targets_)
    if (matches(target.text, name)) return target.group;
  return std::nullopt;
}

std::optional<std::string> LoaderMatchers::by_vllm(const VllmModule& module, VllmOrder order) {
  const std::vector<std::string> names = module.shards.empty() ? std::vector{module.name} : module.shards;
  const auto out =
      std::count_if(names.begin(), names.end(), [&](const std::string& name) { return ignored(name, ""); });
  if (out > 0 && out < static_cast<std::ptrdiff_t>(names.size()))
    throw std::runtime_error(module.name + ": all of its parts must have the same scheme");
  if (out > 0) return std::nullopt;

  const std::optional<std::string> by_name = first_by_name(module.name);
  std::optional<std::string> by_shards = module.shards.empty() ? std::nullopt : first_by_name(module.shards.front());
  for (const std::string& shard : module.shards)
    if (!first_by_name(shard)) by_shards = std::nullopt;
  std::optional<std::string> by_class;
  for (const Target& target : targets_)
    if (!by_class && lower(module.class_name).find(lower(target.text)) != std::string::npos) by_class = target.group;

  if (by_name) return by_name;
  if (order == VllmOrder::name_fused_class) return by_shards ? by_shards : by_class;
  return by_class ? by_class : by_shards;
}

std::optional<std::string> LoaderMatchers::by_vllm_experts(const std::string& block, VllmOrder order) {
  std::vector<std::optional<std::string>> found;
  for (const char* const projection : {"gate_proj", "up_proj", "down_proj"})
    found.push_back(by_vllm({.name = block + ".0." + projection, .class_name = "RoutedExperts Linear"}, order));
  if (found[0] != found[1] || found[0] != found[2])
    throw std::runtime_error(block + ": all projections of an expert must have the same scheme");
  return found[0];
}

std::optional<std::string> LoaderMatchers::transformers_experts() const {
  for (const std::string& group : groups_)
    for (const Target& target : targets_)
      if (target.group == group && is_expression(target.text) && target.text.find("experts") != std::string::npos)
        return group;
  for (const Target& target : targets_)
    if (!is_expression(target.text)) return target.group;
  return groups_.empty() ? std::nullopt : std::optional(groups_.front());
}

int LoaderMatchers::hits(const std::string& name) {
  const std::vector<std::string> all = patterns();
  return static_cast<int>(
      std::count_if(all.begin(), all.end(), [&](const std::string& p) { return matches(p, name); }));
}

std::vector<std::string> LoaderMatchers::patterns() const {
  std::vector<std::string> all = ignore_;
  for (const Target& target : targets_) all.push_back(target.text);
  return all;
}

nlohmann::json LoaderMatchers::scheme(const std::optional<std::string>& group) const {
  if (!group) return nullptr;
  nlohmann::json body = section_["config_groups"][*group];
  body.erase("targets");
  return body;
}

}  // namespace strata::test
