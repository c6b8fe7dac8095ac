#include "formats/config/other_quantization.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace strata {
namespace {

struct Tool {
  std::string_view method, name;
  std::string_view suffix;   // of a tensor that no other tool writes
  std::string_view way_out;  // beside giving the original
};

constexpr auto tools = std::to_array<Tool>({
    {"awq", "AWQ", "", "convert it to compressed-tensors (docs/checkpoints.md has the lines)"},
    {"gptq", "GPTQ", ".g_idx", ""},
    {"auto-round", "AutoRound", "", ""},
    {"bitsandbytes", "bitsandbytes", ".absmax", ""},
    {"bitsandbytes", "bitsandbytes", ".SCB", ""},
    {"mlx", "MLX", ".biases", ""},
    {"gptq", "GPTQ or AWQ", ".qweight", ""},
});

// The keys by which MLX names its own quantization.
bool is_mlx(const Config& section) {
  return !section.has("quant_method") && section.has("group_size") && section.has("bits");
}

std::string method_of(const Config& section) {
  if (section.has("quant_method")) return section.text("quant_method");
  if (section.has("quant_algo")) return "modelopt";
  if (section.has("load_in_4bit") || section.has("load_in_8bit")) return "bitsandbytes";
  return is_mlx(section) ? "mlx" : "";
}

}  // namespace

bool ConfigQuantization::by_tensors() const {
  return method.empty() || method == "fp8" || method == "mxfp4" || method == "mxfp8" || method.starts_with("modelopt");
}

std::string ConfigQuantization::text() const {
  return fmt::format("{} ({})", key, method.empty() ? "without a quant_method" : "quant_method " + method);
}

std::optional<ConfigQuantization> find_config_quantization(const Config& config) {
  constexpr std::string_view usual = "quantization_config", older = "compression_config", mlx = "quantization";
  if (config.has(usual)) return ConfigQuantization{std::string(usual), method_of(config.section(usual))};
  if (config.has("text_config")) {
    const Config text = config.section("text_config");
    if (text.has(usual))
      return ConfigQuantization{fmt::format("text_config.{}", usual), method_of(text.section(usual))};
  }
  if (config.has(older)) return ConfigQuantization{std::string(older), method_of(config.section(older))};
  if (is_quantization_key(config, mlx)) return ConfigQuantization{std::string(mlx), "mlx"};
  return std::nullopt;
}

bool is_quantization_key(const Config& config, std::string_view key) {
  if (key == "quantization_config" || key == "compression_config") return true;
  return key == "quantization" && config.has(key) && config.dump(key).starts_with('{') && is_mlx(config.section(key));
}

std::optional<std::string_view> tool_of_tensor(std::string_view name) {
  const auto wrote = [&](const Tool& tool) { return !tool.suffix.empty() && name.ends_with(tool.suffix); };
  const auto found = std::ranges::find_if(tools, wrote);
  return found == tools.end() ? std::nullopt : std::optional(found->name);
}

std::string tool_of_method(std::string_view method) {
  const auto found = std::ranges::find(tools, method, &Tool::method);
  return std::string(found == tools.end() ? method : found->name);
}

std::string way_out_of(std::string_view tool) {
  const auto found = std::ranges::find(tools, tool, &Tool::name);
  const std::string_view more = found == tools.end() ? "" : found->way_out;
  return fmt::format("give the checkpoint that it was made from{}{}", more.empty() ? "" : ", or ", more);
}

}  // namespace strata
