#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "formats/config/config_group.h"
#include "formats/config/json_edit.h"
#include "formats/config/module_patterns.h"
#include "formats/config/other_quantization.h"
#include "formats/config/quantization_config.h"
#include "formats/config/scheme.h"

namespace strata {
namespace {

// The schema that we write; loaders do not act on it.
constexpr std::string_view schema_version = "0.20.0";

// The quantizing formats in use, in the order of the table: the config does not depend on that of the Linears.
std::vector<const NumberFormat*> formats_in_use(std::span<const LinearFormat> linears) {
  std::set<const NumberFormat*> used;
  for (const LinearFormat& linear : linears) used.insert(linear.format);
  std::vector<const NumberFormat*> formats;
  for (const NumberFormat* const format : number_formats())
    if (used.contains(format) && format->quantizes()) formats.push_back(format);
  return formats;
}

// Class i is formats[i]; the last class is what stays dense.
std::vector<ClassedModule> classified(std::span<const LinearFormat> linears,
                                      const std::vector<const NumberFormat*>& formats) {
  std::vector<ClassedModule> modules;
  modules.reserve(linears.size());
  for (const LinearFormat& linear : linears) {
    const auto place = std::find(formats.begin(), formats.end(), linear.format);
    std::vector<std::string> aliases = linear.fused_with;
    if (!linear.fused_name.empty()) aliases.push_back(linear.fused_name);
    modules.push_back({linear.module, static_cast<std::size_t>(place - formats.begin()),
                       std::string(linear.format->name), std::move(aliases), linear.fused_name});
  }
  return modules;
}

// The groups' own format where all share one. A quantized cache alone leaves the Linears dense.
std::string top_format(const std::set<std::string>& stored) {
  if (stored.empty()) return "dense";
  return stored.size() == 1 ? *stored.begin() : "mixed-precision";
}

Json quantization_config(std::span<const LinearFormat> linears, const std::vector<const NumberFormat*>& formats,
                         const ConfigExtras& extras) {
  const auto patterns = module_patterns(classified(linears, formats), formats.size() + 1, extras.mixed_experts);
  Json groups = Json::object();
  std::set<std::string> stored;
  for (std::size_t i = 0; i < formats.size(); ++i) {
    Json group = {{"targets", patterns[i]}};
    group.update(config_group(formats[i]->scheme));
    stored.emplace(formats[i]->scheme.format);
    groups[fmt::format("group_{:02}", i)] = std::move(group);
  }
  std::vector<std::string> ignore = patterns.back();
  // A head is a Linear in transformers even where the output has no tensor for it (tied).
  const bool has_head = std::any_of(linears.begin(), linears.end(),
                                    [](const LinearFormat& linear) { return linear.module.ends_with("lm_head"); });
  if (!has_head) ignore.push_back("re:^(?:.*[.])?lm_head$");
  for (const std::string& prefix : extras.kept) ignore.push_back(pattern_below(prefix));
  return {{"quant_method", "compressed-tensors"},
          {"format", top_format(stored)},
          {"quantization_status", "compressed"},
          {"config_groups", std::move(groups)},
          {"ignore", std::move(ignore)},
          {"kv_cache_scheme", extras.kv_cache_fp8 ? input_arguments(fp8_cache) : Json()},
          {"sparsity_config", Json::object()},
          {"transform_config", Json::object()},
          {"global_compression_ratio", nullptr},
          {"version", schema_version}};
}

}  // namespace

std::string quantized_config_json(std::string_view source_config, std::span<const LinearFormat> linears,
                                  const ConfigExtras& extras) {
  const Config config = Config::parse(source_config, "config.json");  // the edits below assume valid JSON
  const Config inner = text_config(config);
  std::string text(source_config);
  for (const std::string_view key : {"quantization_config", "compression_config", "quantization"}) {
    if (is_quantization_key(config, key)) text = without_member(std::move(text), key);
    if (is_quantization_key(inner, key)) text = without_member(std::move(text), key, "text_config");
  }
  if (extras.untied)
    for (const char* const section : {"", "text_config"})
      text = with_value(std::move(text), "tie_word_embeddings", "false", section);
  const std::vector<const NumberFormat*> formats = formats_in_use(linears);
  if (formats.empty() && !extras.kv_cache_fp8) return text;
  return with_member(std::move(text), "quantization_config", quantization_config(linears, formats, extras).dump(2));
}

}  // namespace strata
