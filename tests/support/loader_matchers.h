// How transformers and vLLM find the scheme of a module in a quantization_config, written from what they do and
// with the C library's expressions: shares no code with formats/ or engine/.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::test {

// vLLM looked for the class before the merged name until the middle of 2026.
enum class VllmOrder { name_fused_class, name_class_fused };

struct VllmModule {
  std::string name;
  std::vector<std::string> shards = {};  // modules that it merges; empty when it is one of the checkpoint
  std::string class_name = "ReplicatedLinear";
};

class LoaderMatchers {
 public:
  // From the text of a config.json. Without a quantization_config no module has a scheme.
  explicit LoaderMatchers(std::string_view config_json);

  // The name of the group, nullopt when the module stays dense; throws std::runtime_error where the loader does.
  std::optional<std::string> by_transformers(const std::string& name, const std::string& class_name = "Linear");
  std::optional<std::string> by_vllm(const VllmModule& module, VllmOrder order);
  // All routed experts of a block, probed at expert 0. `block` is "model.layers.1.mlp.experts".
  std::optional<std::string> by_vllm_experts(const std::string& block, VllmOrder order);
  // The one group that transformers reads all quantized experts of a model with.
  std::optional<std::string> transformers_experts() const;

  // How many targets and ignores of the config match this name (no classes).
  int hits(const std::string& name);

  // The group without its targets.
  nlohmann::json scheme(const std::optional<std::string>& group) const;
  const std::vector<std::string>& group_names() const { return groups_; }
  std::vector<std::string> patterns() const;  // all targets and ignores

 private:
  struct Target {
    std::string text, group;
  };
  class Expression;

  bool matches(const std::string& target, const std::string& name);
  bool ignored(const std::string& name, const std::string& class_name);
  std::optional<std::string> first_by_name(const std::string& name);

  nlohmann::ordered_json section_;
  std::vector<Target> targets_;  // in file order
  std::vector<std::string> ignore_, groups_;
  std::map<std::string, std::shared_ptr<Expression>> compiled_;
};

}  // namespace strata::test
