// The quantization_config of a compressed-tensors checkpoint: written for our outputs, read back from
// any output. docs/output-format.md restates the schema.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/pattern.h"
#include "formats/config/config.h"
#include "formats/number_format.h"

namespace strata {

// One Linear of the output and how it is stored.
struct LinearFormat {
  std::string module;  // "model.layers.0.self_attn.q_proj", as Hugging Face names it
  const NumberFormat* format = nullptr;
  std::vector<std::string> fused_with;  // projection names served as one ("q_proj", "k_proj", "v_proj"), own included
  std::string fused_name;               // "qkv_proj"; empty when it is served alone
};

// What the config says beside the Linears.
struct ConfigExtras {
  bool kv_cache_fp8 = false;   // "<attention>.k_scale" and "v_scale" are stored for an FP8 cache
  bool untied = false;         // the head is stored and is not the embedding: tie_word_embeddings becomes false
  bool mixed_experts = false;  // those of a layer may have several formats: their targets name each by its number
  std::vector<std::string> kept =
      {};  // prefixes ("model.visual.") of modules that stay as they are, beside the Linears
};

// config.json of the output: the source's text, keys and order kept, with quantization_config added at
// the top (an older one, that of another tool, and those under text_config removed). Nothing quantized: no
// quantization_config. Targets of the groups are disjoint, anchored, prefix-agnostic regular expressions.
std::string quantized_config_json(std::string_view source_config, std::span<const LinearFormat> linears,
                                  const ConfigExtras& extras = {});

// How an existing checkpoint stores its modules.
class QuantizationConfig {
 public:
  // Empty when the config has no quantization_config. Error{input} for another quant_method, a format,
  // arguments or a scheme of the cache that Strata does not read.
  static QuantizationConfig parse(const Config& config);

  bool empty() const { return names_.empty() && expressions_.empty() && every_linear_ == nullptr; }
  // The format of a module, nullptr when it is dense. transformers' rule: ignore first, then exact names,
  // then regular expressions in the order of their text, then the class name Linear. Error{input} for an expression
  // that takes too long.
  const NumberFormat* format_of(std::string_view module) const;
  // Keys and values are cached in FP8, with one scale a tensor ("<attention>.k_scale", "v_scale").
  bool kv_cache_fp8() const { return kv_cache_fp8_; }

 private:
  struct Expression {
    Pattern pattern;
    const NumberFormat* format;
  };
  void add_target(const Config& group, const std::string& target, const NumberFormat* format);
  void add_ignored(const Config& section, const std::string& target);

  std::string where_;  // of what is parsed, for messages
  std::map<std::string, const NumberFormat*, std::less<>> names_;
  std::vector<Expression> expressions_;  // in the order of their text
  const NumberFormat* every_linear_ = nullptr;
  std::set<std::string, std::less<>> ignored_names_;
  std::vector<Pattern> ignored_;
  bool kv_cache_fp8_ = false;
};

}  // namespace strata
