// Random assignments of formats, with per-layer mixes: every module is matched by its own group alone, by
// transformers' rule and by both orders of vLLM's, under every prefix. The matchers are written here from
// docs/output-format.md with the C library's expressions, apart from those of formats/.
#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "formats/quantization_config.h"

using namespace strata;
using Json = nlohmann::ordered_json;

namespace {

// An expression of the C library's engine; our expressions have no construct that it lacks but "(?:".
class Expression {
 public:
  explicit Expression(std::string text) {
    for (std::size_t at = 0; (at = text.find("(?:")) != std::string::npos;) text.erase(at + 1, 2);
    REQUIRE(regcomp(&compiled_, text.c_str(), REG_EXTENDED) == 0);
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

struct Matcher {
  std::map<std::string, Expression> compiled;

  bool hits(const std::string& target, const std::string& name) {
    if (!target.starts_with("re:")) return target == name;
    return compiled.try_emplace(target, target.substr(3)).first->second.matches_from_start(name);
  }
};

struct Target {
  std::string text, group;
};

struct Written {
  std::vector<Target> targets;  // in file order
  std::vector<std::string> ignore;
  std::map<std::string, std::string> format;  // of a group: its number format
};

std::optional<std::string> by_transformers(Matcher& matcher, const Written& config, const std::string& name) {
  for (const std::string& entry : config.ignore)
    if (matcher.hits(entry, name)) return std::nullopt;
  std::vector<Target> hits;
  for (const Target& target : config.targets)
    if (matcher.hits(target.text, name)) hits.push_back(target);
  REQUIRE(hits.size() <= 1);  // disjoint: no order decides
  if (hits.empty()) return std::nullopt;
  return hits.front().group;
}

// `shards` are the modules that the served one holds; empty when it is itself one of the checkpoint.
std::optional<std::string> by_vllm(Matcher& matcher, const Written& config, const std::string& name,
                                   const std::vector<std::string>& shards) {
  const std::vector<std::string> names = shards.empty() ? std::vector{name} : shards;
  const auto ignored = std::count_if(names.begin(), names.end(), [&](const std::string& shard) {
    return std::any_of(config.ignore.begin(), config.ignore.end(),
                       [&](const std::string& e) { return matcher.hits(e, shard); });
  });
  REQUIRE((ignored == 0 || ignored == static_cast<std::ptrdiff_t>(names.size())));
  if (ignored > 0) return std::nullopt;
  const auto first = [&](const std::string& wanted) -> std::optional<std::string> {
    for (const Target& target : config.targets)
      if (matcher.hits(target.text, wanted)) return target.group;
    return std::nullopt;
  };
  const std::optional<std::string> by_name = first(name);
  std::optional<std::string> fused = shards.empty() ? std::nullopt : first(shards.front());
  for (const std::string& shard : shards)
    if (!first(shard)) fused = std::nullopt;
  if (by_name && fused) REQUIRE(*by_name == *fused);
  if (!shards.empty()) REQUIRE(by_name.has_value());  // older versions look for fused modules by name only
  return by_name ? by_name : fused;
}

struct Assignment {
  std::vector<LinearFormat> linears;
  std::map<std::string, std::vector<std::string>> served;  // fused module -> its shards
};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  Assignment assignment() {
    Assignment made;
    const int layers = 1 + pick(14);
    const bool mixture = pick(2) == 1;
    for (int layer = 0; layer < layers; ++layer)
      add_layer(made, "model.layers." + std::to_string(layer) + ".", mixture && layer > 0);
    if (pick(3) == 0) add(made, "model.layers." + std::to_string(layers) + ".eh_proj", {}, "", any());
    if (pick(2) == 0) add(made, "lm_head", {}, "", any());
    if (pick(3) == 0) add(made, "mtp.layers.0.mlp.down_proj", {}, "", any());
    if (pick(3) == 0) add(made, "model.visual.blocks.3.attn.proj", {}, "", any());
    std::shuffle(made.linears.begin(), made.linears.end(), random_);
    return made;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  const NumberFormat* any() {
    return number_formats()[static_cast<std::size_t>(pick(static_cast<int>(number_formats().size())))];
  }

  void add(Assignment& made, const std::string& module, const std::vector<std::string>& with, const std::string& fused,
           const NumberFormat* format) {
    made.linears.push_back({module, format, with, fused});
    if (fused.empty()) return;
    const std::string parent = module.substr(0, module.rfind('.') + 1);
    std::vector<std::string>& shards = made.served[parent + fused];
    shards.clear();
    for (const std::string& shard : with) shards.push_back(parent + shard);
  }

  void add_fused(Assignment& made, const std::string& parent, const std::vector<std::string>& with,
                 const std::string& fused, const NumberFormat* format) {
    for (const std::string& name : with) add(made, parent + name, with, fused, format);
  }

  void add_layer(Assignment& made, const std::string& prefix, bool mixture) {
    add_fused(made, prefix + "self_attn.", {"q_proj", "k_proj", "v_proj"}, "qkv_proj", any());
    add(made, prefix + "self_attn.o_proj", {}, "", any());
    if (!mixture) {
      add_fused(made, prefix + "mlp.", {"gate_proj", "up_proj"}, "gate_up_proj", any());
      add(made, prefix + "mlp.down_proj", {}, "", any());
      return;
    }
    add(made, prefix + "mlp.gate", {}, "", any());
    const NumberFormat* const experts = any();
    for (int expert = 0; expert < 11; ++expert) {
      const std::string parent = prefix + "mlp.experts." + std::to_string(expert) + ".";
      for (const char* const name : {"gate_proj", "up_proj", "down_proj"}) add(made, parent + name, {}, "", experts);
    }
  }

  std::mt19937 random_;
};

Written read(const std::string& text, const std::vector<LinearFormat>& linears) {
  Written config;
  const Json section = Json::parse(text).value("quantization_config",
                                               Json{{"config_groups", Json::object()}, {"ignore", Json::array()}});
  for (const auto& [group, body] : section["config_groups"].items())
    for (const auto& target : body["targets"]) config.targets.push_back({target.get<std::string>(), group});
  for (const auto& entry : section["ignore"]) config.ignore.push_back(entry.get<std::string>());
  std::size_t i = 0;
  for (const NumberFormat* const format : number_formats()) {
    const bool used =
        std::any_of(linears.begin(), linears.end(), [&](const LinearFormat& l) { return l.format == format; });
    if (used && !format->config_group.empty())
      config.format[fmt::format("group_{:02}", i++)] = std::string(format->name);
  }
  return config;
}

std::string under(const std::string& prefix, const std::string& module) {
  return prefix + (module.starts_with("model.") ? module.substr(6) : module);
}

std::string expected_of(const NumberFormat* format) {
  return format->config_group.empty() ? "" : std::string(format->name);
}

}  // namespace

TEST_CASE("random assignments resolve to themselves under transformers' and vLLM's rules") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Generator generator(seed);
    const Assignment made = generator.assignment();
    const std::string text = quantized_config_json(R"({"model_type": "qwen3_moe"})", made.linears);
    const Written config = read(text, made.linears);
    const QuantizationConfig parsed = QuantizationConfig::parse(Config::parse(text, "config.json"));
    Matcher matcher;
    std::map<std::string, std::string> wanted;
    const auto name_of = [&](const std::optional<std::string>& group) {
      return group ? config.format.at(*group) : std::string();
    };
    for (const LinearFormat& linear : made.linears) {
      const std::string expected = wanted[linear.module] = expected_of(linear.format);
      for (const char* const prefix : {"model.", "model.language_model.", "language_model.model."}) {
        const std::string module = under(prefix, linear.module);
        INFO(module);
        CHECK(name_of(by_transformers(matcher, config, module)) == expected);
        CHECK(name_of(by_vllm(matcher, config, module, {})) == expected);
        const NumberFormat* const ours = parsed.format_of(module);
        CHECK((ours == nullptr ? "" : std::string(ours->name)) == expected);
      }
    }
    for (const auto& [fused, shards] : made.served) {
      std::vector<std::string> renamed;
      for (const std::string& shard : shards) renamed.push_back(under("language_model.model.", shard));
      INFO(fused);
      if (wanted.at(shards.front()).empty()) {
        CHECK(name_of(by_vllm(matcher, config, under("language_model.model.", fused), renamed)).empty());
        continue;
      }
      CHECK(name_of(by_vllm(matcher, config, under("language_model.model.", fused), renamed)) ==
            wanted.at(shards.front()));
      CHECK(name_of(by_vllm(matcher, config, fused, shards)) == wanted.at(shards.front()));
    }
  }
}
