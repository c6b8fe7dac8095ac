// Which group of a quantization_config a module gets: by the rule of transformers (compressed-tensors), of
// vLLM, and of older vLLM. Written from their sources, apart from QuantizationConfig, which Strata reads with.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/pattern.h"
#include "formats/config/config.h"
#include "formats/number_format.h"

namespace strata {

// A module as vLLM builds it: several Linears of the file may be one.
struct ServedModule {
  std::string name;                 // "model.layers.0.self_attn.qkv_proj"
  std::string class_name;           // "QKVParallelLinear"
  std::vector<std::string> shards;  // names of the Linears in it; empty when it is one
};

// What a loader does with a module.
struct Match {
  enum class Kind { group, dense, unmatched, torn };  // torn: ignored in part
  Kind kind = Kind::unmatched;
  const NumberFormat* format = nullptr;  // of Kind::group
  std::string target;                    // that decided

  bool operator==(const Match& other) const { return kind == other.kind && format == other.format; }
  std::string text() const;  // "NVFP4 (by re:^...$)", "dense"
};

class TargetTable {
 public:
  // The top-level quantization_config of a checkpoint that was parsed without an error.
  explicit TargetTable(const Config& section);

  bool ignored(std::string_view name) const;
  // Formats of all groups that name the module, by name or expression; two when one is named twice.
  std::vector<const NumberFormat*> named_by(std::string_view name) const;

  Match transformers(std::string_view name) const;         // of an nn.Linear
  Match vllm(const ServedModule& module, bool old) const;  // old: class names before members of fused modules

 private:
  struct Target {
    std::string text;
    const NumberFormat* format;
    std::size_t order;
  };
  struct Expression {
    Pattern pattern;
    Target target;
  };
  const Target* first_by_name(std::string_view name) const;  // in file order
  const Target* first_by_class(std::string_view class_name) const;
  const Target* by_members(const ServedModule& module) const;

  std::unordered_map<std::string, std::vector<Target>> names_;
  std::vector<Expression> expressions_;  // in file order
  std::vector<Target> classes_;          // targets that are neither a dotted name nor an expression
  std::set<std::string, std::less<>> ignored_names_;
  std::vector<Pattern> ignored_;
};

}  // namespace strata
