#include "engine/plan/assignment.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/error.h"
#include "base/pattern.h"
#include "base/suggest.h"
#include "engine/plan/assignment_file.h"
#include "engine/plan/blocks.h"
#include "engine/plan/nothing_quantized.h"
#include "engine/plan/serving_limits.h"
#include "engine/plan/tied_head.h"
#include "engine/plan/unit_assignment.h"

namespace strata {
namespace {

// A --ignore or --override of the command line; format is nullptr for --ignore.
struct Rule {
  Pattern pattern;
  const NumberFormat* format;
  std::string flag;
  bool used = false;
};

std::vector<Rule> parse_rules(const AssignmentRequest& request) {
  std::vector<Rule> rules;
  for (const auto& [pattern, format] : request.overrides)
    rules.push_back(
        {Pattern(pattern), &require_number_format(format), fmt::format("--override {}={}", pattern, format)});
  for (const std::string& pattern : request.ignore)
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
    const bool is_name = rule.pattern.text().find_first_of("*?:") == std::string::npos;
    const std::string near = is_name ? did_you_mean(rule.pattern.text(), modules) : "";
    fail(Fault::usage, "{}: matches none of the {} Linears of {}{}", rule.flag, modules.size(),
         model.checkpoint.directory(),
         near.empty() ? "; `strata inspect --tensors` lists the names, and *.layers.0.* matches a layer" : near);
  }
}

// What the flags and the file ask for one Linear; nullptr when nothing does.
const NumberFormat* asked_format(const LinearSpec& linear, const NumberFormat* scheme, const FormatsByModule* decided,
                                 const AssignmentFile& file, std::vector<Rule>& rules) {
  const NumberFormat* format = linear.kind == LinearClass::quantize ? scheme : &kept_format();
  if (decided != nullptr)
    if (const auto found = decided->find(linear.module); found != decided->end()) format = found->second;
  if (const NumberFormat* const named = file.format_of(linear.module)) format = named;
  for (Rule& rule : rules)
    if (rule.pattern.matches(linear.module)) {
      rule.used = true;
      format = rule.format != nullptr ? rule.format : &kept_format();
    }
  return format;
}

// `assignment` holds the formats that were asked for, with everything that is ignored.
AskedFormats asked_formats(const OpenModel& model, const NumberFormat* scheme, const AssignmentFile& file,
                           std::span<const Rule> rules, const Assignment& assignment) {
  AskedFormats asked;
  const auto note = [&](const NumberFormat* format) {
    if (asked.first == nullptr && format != nullptr && format->quantizes()) asked.first = format;
  };
  note(scheme);
  for (const Rule& rule : rules) note(rule.format);
  for (const LinearPlan& linear : model.linears) {
    note(file.format_of(linear.spec->module));
    const NumberFormat& format = assignment.of(*linear.spec);
    if (format.quantizes()) asked.linears.push_back({linear.spec, &format});
  }
  return asked;
}

// Only a file can leave a Linear without a format: without one there is a scheme.
void require_complete(const Assignment& assignment, const OpenModel& model, const AssignmentRequest& request) {
  const auto count = std::ranges::count(assignment.formats, nullptr);
  if (count == 0) return;
  const auto first =
      static_cast<std::size_t>(std::ranges::find(assignment.formats, nullptr) - assignment.formats.begin());
  if (request.file.empty()) fail(Fault::usage, "--scheme: missing; {} Linears have no number format", count);
  const auto linears = static_cast<std::ptrdiff_t>(model.linears.size());
  fail(Fault::usage,
       "{}: names {} of {} Linears and leaves out {} that are to be quantized ({}{}); add them, or say "
       "--scheme FORMAT for those",
       request.file, linears - count, linears, count, model.linears[first].spec->module,
       count > 1 ? " is the first" : "");
}

// A tied head is the embedding: quantizing it would quantize the look-up as well.
void check_tied_head(const OpenModel& model, std::vector<Rule>& rules) {
  if (!model.spec->tied) return;
  const Rule* last = nullptr;  // the one that counts, as for any other Linear
  for (Rule& rule : rules) {
    if (!rule.pattern.matches("lm_head") && !rule.pattern.matches(model.spec->head.module)) continue;
    rule.used = true;
    last = &rule;
  }
  if (last != nullptr && last->format != nullptr && !last->format->verbatim)
    fail(Fault::usage,
         "{}: lm_head shares {} with the embedding and cannot be quantized; leave it out with --ignore lm_head, or "
         "untie it in the source (tie_word_embeddings false and a copy of the tensor)",
         last->flag, model.spec->embedding);
}

// The config ties the head, yet both ends are stored. Where they are one matrix that is so. Two different ones are not
// read alike: transformers takes each as it is, as `eval` does, and vLLM the embedding for both. So the output says
// what is.
void settle_tie(const OpenModel& model, Assignment& assignment) {
  if (!config_ties_head(model.checkpoint.config()) || model.spec->tied) return;
  const LinearSpec& head = model.spec->head;
  const TensorInfo* const stored = model.checkpoint.find(head.module + ".weight");
  const TensorInfo& embedding = model.checkpoint.at(model.spec->embedding);
  if (assignment.copies(head) && stored != nullptr &&
      same_tensor({model.checkpoint, *stored}, {model.checkpoint, embedding}))
    return;
  assignment.untied = true;
  assignment.decisions.emplace_back(
      head.module, fmt::format("tie_word_embeddings true becomes false: {}, and vLLM would use {} for both",
                               assignment.copies(head) ? "the stored head is another matrix than the embedding"
                                                       : fmt::format("the head becomes {}", assignment.of(head).name),
                               embedding.name));
}

// What is carried along unseen is said.
void note_sections(const OpenModel& model, Assignment& assignment) {
  for (const Visit& visit : model.visits) {
    if (visit.kind != Visit::Kind::section) continue;
    std::uint64_t bytes = 0;
    for (const TensorInfo* tensor : visit.kept) bytes += tensor->bytes;
    assignment.decisions.emplace_back(
        visit.name, fmt::format("kept as it is: {} tensors, {}", visit.kept.size(), human_bytes(bytes)));
  }
}

}  // namespace

// In order of first appearance.
std::vector<std::vector<const LinearSpec*>> fused_groups(std::span<const LinearSpec* const> linears) {
  std::vector<std::vector<const LinearSpec*>> groups;
  std::map<std::string_view, std::size_t> known;
  for (const LinearSpec* linear : linears) {
    const std::string_view name = linear->fused_module;
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

std::vector<std::vector<const LinearSpec*>> format_units(const Visit& visit, bool per_expert) {
  if (visit.layer == nullptr) return fused_groups(visit.linears);
  std::vector<std::vector<const LinearSpec*>> units;
  for (const Block& block : visit.layer->blocks)
    for (std::vector<const LinearSpec*>& unit : format_units(block, per_expert)) units.push_back(std::move(unit));
  return units;
}

std::string ignore_options(const Visit& visit, const LinearSpec& linear) {
  constexpr std::size_t most = 4;  // names that a message may hold
  std::vector<const LinearSpec*> unit = {&linear};
  for (const auto& one : format_units(visit))
    if (std::ranges::find(one, linear.module, &LinearSpec::module) != one.end()) unit = one;
  if (unit.size() > most) {  // the experts of a layer
    std::string_view common = unit.front()->module;
    for (const LinearSpec* const one : unit)
      common =
          common.substr(0, static_cast<std::size_t>(std::ranges::mismatch(common, one->module).in1 - common.begin()));
    return fmt::format("--ignore '{}*'", common);
  }
  std::string text;
  for (const LinearSpec* const one : unit) text += fmt::format("{}--ignore {}", text.empty() ? "" : " ", one->module);
  return text;
}

Assignment assign_formats(const OpenModel& model, const AssignmentRequest& request, const AssignmentContext& context) {
  const NumberFormat* const scheme = request.scheme.empty() ? nullptr : &require_number_format(request.scheme);
  const AssignmentFile file = request.file.empty() ? AssignmentFile() : AssignmentFile::read(request.file);
  std::vector<Rule> rules = parse_rules(request);
  check_tied_head(model, rules);

  Assignment assignment;
  assignment.rule = context.rule;
  assignment.per_expert = request.per_expert;
  assignment.kv_cache_fp8 = request.kv_cache_fp8;
  assignment.copied.assign(model.linears.size(), 0);
  std::vector<std::string> modules;
  for (const LinearPlan& linear : model.linears) {
    assignment.formats.push_back(asked_format(*linear.spec, scheme, context.decided, file, rules));
    modules.push_back(linear.spec->module);
  }
  file.require_known(modules, model);
  require_complete(assignment, model, request);
  const AskedFormats asked = asked_formats(model, scheme, file, rules, assignment);
  UnitAssignment units(model, request.strict, context.of_menu, assignment);
  for (const Visit& visit : model.visits)
    for (const auto& unit : format_units(visit, request.per_expert)) {
      file.require_fitting(unit, assignment);
      units.settle(unit);
    }
  require_used(rules, model, modules);
  settle_tie(model, assignment);
  note_dropped(model, assignment);
  note_sections(model, assignment);
  note_serving_limits(model, request.allow_unservable, assignment);
  assignment.nothing = nothing_quantized(model, asked, assignment, context.has_data);
  if (!assignment.nothing.empty() && request.allow_nothing)
    assignment.decisions.emplace_back(model.checkpoint.directory(), assignment.nothing + "; written as allowed");
  return assignment;
}

}  // namespace strata
