// Rules about the targets and the ignore list: every loader must find the same scheme for every Linear.
#include <map>
#include <optional>
#include <set>

#include "engine/check/matchers.h"
#include "engine/check/rules.h"
#include "profiles/layer_questions.h"

namespace strata::rule {
namespace {

std::optional<TargetTable> target_table(const VerifyContext& context) {
  const Config& config = context.output.checkpoint.config();
  if (!config.has("quantization_config")) return std::nullopt;
  const Config section = config.section("quantization_config");
  if (section.text_or("quant_method", "") != "compressed-tensors" || !section.has("config_groups")) return std::nullopt;
  return TargetTable(section);
}

// vLLM wraps the other way round: language_model.model.layers instead of model.language_model.layers.
std::string vllm_name(std::string_view module) {
  constexpr std::string_view wrapped = "model.language_model.";
  if (module.starts_with(wrapped)) return fmt::format("language_model.model.{}", module.substr(wrapped.size()));
  return std::string(module);
}

// One module that vLLM builds and the Linears of the file that are in it.
struct Served {
  ServedModule module;
  std::vector<const LinearSpec*> members;
};

// Experts are looked up by the names of the first one's three matrices.
void add_experts(const LayerSpec& layer, std::vector<Served>& all) {
  const std::vector<const LinearSpec*> members = expert_linears(layer);
  for (const LinearSpec* probe : first_expert(layer))
    all.push_back({{vllm_name(probe->module), "Linear", {}}, members});
}

std::vector<Served> served_modules(const ModelSpec& spec) {
  std::vector<Served> all;
  for (const LayerSpec& layer : spec.layers) {
    const std::vector<const LinearSpec*> members = expert_linears(layer);
    const std::set<const LinearSpec*> experts(members.begin(), members.end());
    std::map<std::string, std::vector<const LinearSpec*>> fused;
    for (const LinearSpec* linear : linears(layer)) {
      if (experts.contains(linear)) continue;
      if (!linear->fused_module.empty())
        fused[linear->fused_module].push_back(linear);
      else
        all.push_back({{vllm_name(linear->module), "RowParallelLinear", {}}, {linear}});
    }
    for (auto& [name, siblings] : fused) {
      Served served{
          {vllm_name(name), name.ends_with("qkv_proj") ? "QKVParallelLinear" : "MergedColumnParallelLinear", {}},
          siblings};
      for (const LinearSpec* member : siblings) served.module.shards.push_back(vllm_name(member->module));
      all.push_back(std::move(served));
    }
    add_experts(layer, all);
  }
  if (!spec.tied) all.push_back({{vllm_name(spec.head.module), "ParallelLMHead", {}}, {&spec.head}});
  return all;
}

std::string expected_text(const NumberFormat* format) {
  return format == nullptr ? "dense" : std::string(format->name);
}

// Not matched at all is dense to transformers and to new vLLM; the rule `unmatched` says so.
bool serves(const Match& match, const NumberFormat* format) {
  if (match.kind == Match::Kind::group) return match.format == format;
  return match.kind != Match::Kind::torn && format == nullptr;
}

}  // namespace

void matchers(const VerifyContext& context, Findings& findings) {
  const std::optional<TargetTable> table = target_table(context);
  if (!table) return;
  const auto compare = [&](const LinearSpec& linear, std::string_view loader, const Match& match, bool fails) {
    const NumberFormat* const format = context.format(linear);
    if (serves(match, format)) return true;
    findings.judge(fails, linear.module, "is stored as {}, but {} finds {}", expected_text(format), loader,
                   match.text());
    return false;
  };
  std::set<std::string> told;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat*) {
    if (!compare(linear, "transformers", table->transformers(linear.module), true)) told.insert(linear.module);
  });
  for (const Served& served : served_modules(*context.output.spec)) {
    const Match now = table->vllm(served.module, false), before = table->vllm(served.module, true);
    const LinearSpec& first = *served.members.front();
    if (told.contains(first.module)) continue;
    if (!compare(first, fmt::format("vLLM, as {},", served.module.name), now, true) ||
        !compare(first, fmt::format("vLLM before 2026-07, as {},", served.module.name), before, context.ours))
      told.insert(first.module);
  }
  if (context.output.spec->tied) {
    const Match head = table->transformers("lm_head");
    if (head.kind == Match::Kind::group)
      findings.add("lm_head", "is tied to the embedding, but transformers finds {}; name it in ignore", head.text());
  }
}

void unmatched(const VerifyContext& context, Findings& findings) {
  const std::optional<TargetTable> table = target_table(context);
  if (!table) return;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat*) {
    if (table->transformers(linear.module).kind == Match::Kind::unmatched)
      findings.judge(context.ours, linear.module,
                     "is matched by no group and not in ignore; older vLLM refuses the model");
  });
}

void overlap(const VerifyContext& context, Findings& findings) {
  const std::optional<TargetTable> table = target_table(context);
  if (!table) return;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat*) {
    const std::vector<const NumberFormat*> named = table->named_by(linear.module);
    if (named.empty()) return;
    if (table->ignored(linear.module)) {
      findings.note(linear.module, "is targeted by a group and in ignore; loaders ignore it today");
      return;
    }
    for (const NumberFormat* format : named)
      if (format != named.front()) {
        findings.add(linear.module, "is targeted by groups of {} and {}; which one counts depends on the loader",
                     named.front()->name, format->name);
        return;
      }
    if (named.size() > 1) findings.note(linear.module, "is targeted {} times by groups of one format", named.size());
  });
}

}  // namespace strata::rule
