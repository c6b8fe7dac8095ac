#include "engine/assignment.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "base/error.h"
#include "base/pattern.h"
#include "base/suggest.h"
#include "engine/rounding.h"

namespace strata {
namespace {

// A --ignore or --override of the command line; format is nullptr for --ignore.
struct Rule {
  Pattern pattern;
  const NumberFormat* format;
  std::string flag;
  bool used = false;
};

std::vector<Rule> parse_rules(const QuantizeOptions& options) {
  std::vector<Rule> rules;
  for (const auto& [pattern, format] : options.overrides)
    rules.push_back({Pattern(pattern), &require_number_format(format), fmt::format("--override {}={}", pattern, format)});
  for (const std::string& pattern : options.ignore)
    rules.push_back({Pattern(pattern), nullptr, fmt::format("--ignore {}", pattern)});
  return rules;
}

void require_used(const std::vector<Rule>& rules, const OpenModel& model, const std::vector<std::string>& modules) {
  for (const Rule& rule : rules) {
    if (rule.used) continue;
    const bool is_tensor = std::ranges::any_of(model.checkpoint.tensors(), [&](const TensorInfo& tensor) {
      const std::string_view name = tensor.name;
      return rule.pattern.matches(name.substr(0, name.rfind('.')));
    });
    if (is_tensor && rule.format == nullptr) continue;  // embeddings and norms are kept anyway
    if (is_tensor)
      fail(Fault::usage, "{}: embeddings and norms stay as they are; only Linears take a number format", rule.flag);
    const std::string near = suggest(rule.pattern.text(), modules);
    const bool useful = near.starts_with(" (did") && rule.pattern.text().find_first_of("*?:") == std::string::npos;
    fail(Fault::usage, "{}: matches none of the {} Linears of {}{}", rule.flag, modules.size(), model.checkpoint.directory(),
         useful ? near : "; `strata inspect --tensors` lists the names, and *.layers.0.* matches a layer");
  }
}

// What the flags ask for one Linear.
const NumberFormat& asked_format(const LinearSpec& linear, const NumberFormat& scheme, std::vector<Rule>& rules) {
  const NumberFormat* format = linear.kind == LinearClass::quantize ? &scheme : find_number_format("KEEP");
  for (Rule& rule : rules)
    if (rule.pattern.matches(linear.module)) {
      rule.used = true;
      format = rule.format != nullptr ? rule.format : find_number_format("KEEP");
    }
  return *format;
}

// A tied head is the embedding: quantizing it would quantize the look-up as well.
void check_tied_head(const OpenModel& model, std::vector<Rule>& rules) {
  if (!model.spec.tied) return;
  const Rule* last = nullptr;  // the one that counts, as for any other Linear
  for (Rule& rule : rules) {
    if (!rule.pattern.matches("lm_head") && !rule.pattern.matches(model.spec.head.module)) continue;
    rule.used = true;
    last = &rule;
  }
  if (last != nullptr && last->format != nullptr && !last->format->verbatim)
    fail(Fault::usage,
         "{}: lm_head shares {} with the embedding and cannot be quantized; leave it out with --ignore lm_head, or "
         "untie it in the source (tie_word_embeddings false and a copy of the tensor)",
         last->flag, model.spec.embedding);
}

// The config ties the head, yet both ends are stored: loaders differ in what they use (transformers takes each as
// it is, vLLM the embedding for both), so the head may stay but not change.
void note_contradictory_tie(const OpenModel& model, Assignment& assignment) {
  const char* const key = "tie_word_embeddings";
  const Config& config = model.checkpoint.config();
  const bool said = (config.has(key) ? config : text_config(config)).boolean_or(key, false);
  if (!said || model.spec.tied) return;
  const LinearSpec& head = model.spec.head;
  if (!assignment.of(head).verbatim)
    fail(Fault::usage, "{}: cannot be {} while config.json says {} true; set that to false in the source, or --ignore {}",
         head.module, assignment.of(head).name, key, head.module);
  assignment.decisions.emplace_back(
      head.module, fmt::format("kept beside {}, though config.json says {} true: loaders may use either", model.spec.embedding, key));
}

void note_head(const OpenModel& model, Assignment& assignment) {
  const LinearSpec& head = model.spec.head;
  if (!model.spec.tied && assignment.of(head).name.starts_with("NVFP4"))
    assignment.decisions.emplace_back(
        head.module, fmt::format("is {} as asked, but vLLM serves a head in FP8_DYNAMIC or W4A16 at most", assignment.of(head).name));
}

void note_router(const LinearSpec& router, Assignment& assignment) {
  const NumberFormat& format = assignment.of(router);
  if (format.config_group.empty()) return;
  assignment.decisions.emplace_back(
      router.module, fmt::format("is {} as asked, but transformers keeps routers dense and cannot load it", format.name));
}

void unify(const std::vector<const LinearSpec*>& unit, const Checkpoint& checkpoint, bool strict, Assignment& assignment) {
  const NumberFormat*& first = assignment.formats.at(unit[0]->module);
  for (const LinearSpec* linear : unit)
    if (assignment.of(*linear).name != first->name)
      fail(Fault::usage,
           "{} would be {} and {} {}, but they are served as one matrix: give all {} of their unit the same format",
           unit[0]->module, first->name, linear->module, assignment.of(*linear).name, unit.size());

  for (const LinearSpec* linear : unit) {
    const std::optional<std::string> why = first->refusal({linear->out, linear->in});
    if (!why) continue;
    if (strict) fail(Fault::input, "{}: cannot be {}: {}", linear->module, first->name, *why);
    const std::string kept = unit.size() == 1 ? "kept" : fmt::format("kept, with the {} others of its unit", unit.size() - 1);
    const Dtype source = checkpoint.at(linear->module + ".weight").dtype;
    assignment.decisions.emplace_back(
        linear->module, fmt::format("{} in {} instead of {}: {}", kept, dtype_name(source), first->name, *why));
    for (const LinearSpec* member : unit) assignment.formats.at(member->module) = find_number_format("KEEP");
    return;
  }
}

// Groups by key in order of first appearance; an empty key stands alone.
template <typename Key>
std::vector<std::vector<const LinearSpec*>> group_by(const Visit& visit, const Key& key) {
  std::vector<std::vector<const LinearSpec*>> groups;
  std::map<std::string, std::size_t> known;
  for (const LinearSpec* linear : visit.linears) {
    const std::string name = key(*linear);
    const auto found = name.empty() ? known.end() : known.find(name);
    if (found != known.end()) {
      groups[found->second].push_back(linear);
      continue;
    }
    if (!name.empty()) known.emplace(name, groups.size());
    groups.push_back({linear});
  }
  return groups;
}

}  // namespace

std::vector<std::vector<const LinearSpec*>> fused_groups(const Visit& visit) {
  return group_by(visit, [](const LinearSpec& linear) { return linear.fused_module; });
}

std::vector<std::vector<const LinearSpec*>> format_units(const Visit& visit) {
  std::unordered_set<const LinearSpec*> expert_linears;
  if (visit.layer != nullptr && visit.layer->moe() != nullptr)
    for (const GatedMlpSpec& expert : visit.layer->moe()->experts)
      expert_linears.insert({&expert.gate, &expert.up, &expert.down});
  return group_by(visit, [&](const LinearSpec& linear) {
    return expert_linears.contains(&linear) ? std::string("experts") : linear.fused_module;
  });
}

Assignment assign_formats(const OpenModel& model, const QuantizeOptions& options) {
  if (!model.stored.empty())
    fail(Fault::input, "{}: is quantized already (config.json has a quantization_config); give its dense source",
         model.checkpoint.directory());
  const NumberFormat& scheme = require_number_format(options.scheme);
  std::vector<Rule> rules = parse_rules(options);
  check_tied_head(model, rules);

  Assignment assignment;
  assignment.rule = options.parity ? ScaleRule::compressed_tensors : require_rounding_method(options.method).rule;
  assignment.kv_cache_fp8 = options.kv_cache_fp8;
  std::vector<std::string> modules;
  for (const Visit& visit : visits(model)) {
    for (const LinearSpec* linear : visit.linears) {
      assignment.formats[linear->module] = &asked_format(*linear, scheme, rules);
      modules.push_back(linear->module);
    }
    if (visit.layer != nullptr && visit.layer->moe() != nullptr) note_router(visit.layer->moe()->router, assignment);
    for (const auto& unit : format_units(visit)) unify(unit, model.checkpoint, options.strict, assignment);
  }
  require_used(rules, model, modules);
  note_contradictory_tie(model, assignment);
  note_head(model, assignment);
  return assignment;
}

}  // namespace strata
