#include "formats/config/quantization_config.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "formats/config/scheme.h"

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

// Other tools' storages are told from the tensors, not from their configs: formats/storage/stored_linear.h.
bool is_native(const Config& section) {
  const std::string method = section.text_or("quant_method", section.has("quant_algo") ? "modelopt" : "");
  return method == "fp8" || method == "mxfp4" || method == "mxfp8" || method.starts_with("modelopt");
}

void refuse_what_is_not_read(const Config& section) {
  const std::string method = section.text_or("quant_method", "");
  if (method != "compressed-tensors")
    fail(Fault::input, "{}: quant_method is \"{}\"; compressed-tensors, fp8 and modelopt are read", section.path(),
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
  const Scheme scheme = parse_scheme(group, top_format == "mixed-precision" ? "" : top_format);
  const NumberFormat* const format = number_format_of(scheme);
  if (format == nullptr)
    fail(Fault::input, "{}: no number format stores {}; `strata formats` lists what is read", group.path(),
         describe(scheme));
  return format;
}

bool parse_kv_cache(const Config& section) {
  if (!section.has("kv_cache_scheme")) return false;
  const Config scheme = section.section("kv_cache_scheme");
  const SchemeArguments arguments = parse_arguments(scheme);
  if (arguments == fp8_cache) return true;
  fail(Fault::input, "{}: is {}; only 8-bit float, tensor is read", scheme.path(), describe(arguments));
}

// Here a broken expression is the file's fault, not the user's.
Pattern expression_in(const Config& section, const std::string& target) {
  try {
    return Pattern(target);
  } catch (const Error& error) {
    fail(Fault::input, "{}: {}", section.path(), error.what());
  }
}

}  // namespace

QuantizationConfig QuantizationConfig::parse(const Config& config) {
  QuantizationConfig parsed;
  const std::optional<Config> section = find_section(config);
  if (!section || is_native(*section)) return parsed;
  refuse_what_is_not_read(*section);
  parsed.where_ = section->path();
  parsed.kv_cache_fp8_ = parse_kv_cache(*section);
  if (!section->has("config_groups")) return parsed;
  const std::string top_format = section->text_or("format", "");
  const Config groups = section->section("config_groups");
  for (const std::string& name : groups.keys()) {
    const Config group = groups.section(name);
    if (only_attention(group)) continue;
    const NumberFormat* const format = format_of_group(group, top_format);
    for (const std::string& target : group.texts("targets")) parsed.add_target(group, target, format);
  }
  // Of equal texts the last group's counts; the sort keeps their order.
  std::ranges::stable_sort(parsed.expressions_, {},
                           [](const Expression& e) -> const std::string& { return e.pattern.text(); });
  if (section->has("ignore"))
    for (const std::string& target : section->texts("ignore")) parsed.add_ignored(*section, target);
  return parsed;
}

// Other tools list thousands of exact names: those are looked up, not matched one by one.
void QuantizationConfig::add_target(const Config& group, const std::string& target, const NumberFormat* format) {
  if (target == "Linear")
    every_linear_ = format;
  else if (target.starts_with("re:"))
    expressions_.push_back({expression_in(group, target), format});
  else
    names_[target] = format;
}

void QuantizationConfig::add_ignored(const Config& section, const std::string& target) {
  if (target.starts_with("re:"))
    ignored_.push_back(expression_in(section, target));
  else
    ignored_names_.insert(target);
}

const NumberFormat* QuantizationConfig::format_of(std::string_view module) const {
  const auto hits = [&](const Pattern& pattern) {
    try {
      return pattern.matches(module);
    } catch (const Error& error) {  // one that would take too long
      fail(Fault::input, "{}: {}", where_, error.what());
    }
  };
  if (ignored_names_.contains(module) || std::ranges::any_of(ignored_, hits)) return nullptr;
  if (const auto found = names_.find(module); found != names_.end()) return found->second;
  auto expression = std::ranges::find_if(expressions_, hits, &Expression::pattern);
  if (expression == expressions_.end()) return every_linear_;
  const std::string& text = expression->pattern.text();
  while (std::next(expression) != expressions_.end() && std::next(expression)->pattern.text() == text) ++expression;
  return expression->format;
}

}  // namespace strata
