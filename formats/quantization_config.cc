#include "formats/quantization_config.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "formats/scheme.h"

namespace strata {
namespace {

// Where compressed-tensors looks, in its order.
std::optional<Config> find_section(const Config& config) {
  if (config.has("quantization_config")) return config.section("quantization_config");
  if (config.has("text_config")) {
    const Config text = config.section("text_config");
    if (text.has("quantization_config")) return text.section("quantization_config");
  }
  if (config.has("compression_config")) return config.section("compression_config");
  return std::nullopt;
}

void refuse_what_is_not_read(const Config& section) {
  const std::string method = section.text_or("quant_method", "");
  if (method != "compressed-tensors")
    fail(Fault::input, "{}: quant_method is \"{}\"; only compressed-tensors checkpoints are read", section.path(),
         method);
  for (const char* const key : {"sparsity_config", "transform_config"}) {
    if (!section.has(key) || section.section(key).keys().empty()) continue;
    if (section.section(key).text_or("format", "") == "dense") continue;
    fail(Fault::input, "{}: {} is not empty; sparse and transformed weights are not read", section.path(), key);
  }
}

// A group for attention (cache and query quantization) says nothing about Linears.
bool only_attention(const Config& group) {
  const std::vector<std::string> targets = group.texts("targets");
  return !group.has("weights") &&
         std::all_of(targets.begin(), targets.end(), [](const std::string& t) { return t.ends_with("Attention"); });
}

const NumberFormat* format_of_group(const Config& group, const std::string& top_format) {
  if (!group.has("weights"))
    fail(Fault::input, "{}: quantizes inputs but no weights; such groups are not read", group.path());
  Scheme scheme = parse_scheme(group);
  if (scheme.format.empty() && top_format != "mixed-precision") scheme.format = top_format;
  const NumberFormat* const format = number_format_of(scheme);
  if (format == nullptr)
    fail(Fault::input, "{}: no number format stores {}; `strata formats` lists what is read", group.path(),
         describe(scheme));
  return format;
}

// The best match so far: the smallest pattern text wins, of equal ones the last.
struct Match {
  const std::string* text = nullptr;
  const NumberFormat* format = nullptr;

  void offer(const std::vector<Pattern>& patterns, const NumberFormat* of_group, std::string_view module) {
    for (const Pattern& pattern : patterns) {
      if (!pattern.matches(module) || (text != nullptr && *text < pattern.text())) continue;
      text = &pattern.text();
      format = of_group;
    }
  }
};

}  // namespace

QuantizationConfig QuantizationConfig::parse(const Config& config) {
  QuantizationConfig parsed;
  const std::optional<Config> section = find_section(config);
  if (!section) return parsed;
  refuse_what_is_not_read(*section);
  if (!section->has("config_groups")) return parsed;
  const std::string top_format = section->text_or("format", "");
  const Config groups = section->section("config_groups");
  for (const std::string& name : groups.keys()) {
    const Config group = groups.section(name);
    if (only_attention(group)) continue;
    Group read;
    read.format = format_of_group(group, top_format);
    for (const std::string& target : group.texts("targets")) {
      if (target == "Linear")
        read.every_linear = true;
      else if (target.starts_with("re:"))
        read.expressions.emplace_back(target);
      else
        read.names.emplace_back(target);
    }
    parsed.groups_.push_back(std::move(read));
  }
  if (section->has("ignore"))
    for (const std::string& pattern : section->texts("ignore")) parsed.ignore_.emplace_back(pattern);
  return parsed;
}

const NumberFormat* QuantizationConfig::format_of(std::string_view module) const {
  for (const Pattern& pattern : ignore_)
    if (pattern.matches(module)) return nullptr;
  Match name, expression;
  const NumberFormat* by_class = nullptr;
  for (const Group& group : groups_) {
    name.offer(group.names, group.format, module);
    expression.offer(group.expressions, group.format, module);
    if (group.every_linear) by_class = group.format;
  }
  if (name.format != nullptr) return name.format;
  return expression.format != nullptr ? expression.format : by_class;
}

}  // namespace strata
