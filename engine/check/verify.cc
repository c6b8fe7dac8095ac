#include "engine/check/verify.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "engine/check/rules.h"
#include "engine/plan/tensor_parallel.h"
#include "profiles/profile.h"
#include "profiles/source_storage.h"

namespace strata {
namespace {

// What is left of `text` after what its reader knows already.
std::string_view without_start(std::string_view text, std::string_view start) {
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

// What a step of opening is about: the rule that it stands for, the folder, and the file or folder to name.
struct Opening {
  std::string rule, model, subject;
};

// Runs one step of opening. What is wrong with the output is a failure, everything else an error.
template <typename Step>
auto attempt(VerifyReport& report, const Opening& opening, const Step& step) -> std::optional<decltype(step())> {
  try {
    return step();
  } catch (const Error& error) {
    if (error.fault != Fault::input && error.fault != Fault::usage) throw;
    const std::string_view inside = without_start(error.what(), opening.model + "/");
    report.failures.push_back(
        {opening.rule, opening.subject, std::string(without_start(inside, opening.subject + ": "))});
    return std::nullopt;
  }
}

// Only where the folder says that another tool wrote codes: in all others codes without a group are a mistake.
NativeRules native_rules(const Checkpoint& checkpoint) {
  const Config& config = checkpoint.config();
  const bool said =
      config.has("quantization_config") || exists(join_path(checkpoint.directory(), "hf_quant_config.json"));
  return said ? NativeRules::parse(config) : NativeRules{};
}

std::optional<OpenModel> open_output(const std::string& model, VerifyReport& report) {
  // No checkpoint at all is a mistake of the command line, not a broken output.
  if (!exists(join_path(model, "config.json"))) return OpenModel(Checkpoint::open(model), {}, {});
  auto checkpoint = attempt(report, {"container", model, base_name(model)}, [&] { return Checkpoint::open(model); });
  if (!checkpoint) return std::nullopt;
  const Profile& profile = require_profile(checkpoint->config());
  const std::size_t before = report.failures.size();
  {
    Findings schema("config-schema", report);
    check_quantization_schema(checkpoint->config_text(), schema);
  }
  // What breaks the schema may be what cannot be read: once is enough.
  VerifyReport unread;
  VerifyReport& target = report.failures.size() > before ? unread : report;
  auto stored = attempt(target, {"quantization-config", model, "config.json"},
                        [&] { return QuantizationConfig::parse(checkpoint->config()); });
  auto spec = attempt(report, {"config", model, "config.json"}, [&] { return describe_model(profile, *checkpoint); });
  if (!stored || !spec) return std::nullopt;
  NativeRules native = native_rules(*checkpoint);
  return OpenModel(std::move(*checkpoint), std::move(*stored), std::move(*spec), std::move(native));
}

// Nothing when no family describes it: the rules then compare names and bytes alone.
std::optional<ModelSpec> describe_source(const Checkpoint& source) {
  const Profile* const profile = find_profile(source.config());
  if (profile == nullptr) return std::nullopt;
  try {
    return describe_checkpoint(*profile, source);
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    return std::nullopt;
  }
}

std::string formats_text(const VerifyContext& context) {
  std::map<std::string_view, int> counts;
  for (const auto& layer : context.layers)
    for (const LinearSpec* linear : layer)
      if (const NumberFormat* format = context.format(*linear)) ++counts[format->name];
  for (const auto& [module, storage] : context.native) ++counts[storage];
  std::vector<std::string> parts;
  parts.reserve(counts.size());
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} {}", count, name));
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "));
}

void add_facts(VerifyReport& report, const VerifyContext& context) {
  const Checkpoint& output = context.output.checkpoint;
  report.facts.emplace_back("family", context.output.spec->family);
  report.facts.emplace_back("tensors", fmt::format("{} in {} files, {}", output.tensors().size(), output.files().size(),
                                                   human_bytes(output.total_bytes())));
  report.facts.emplace_back("quantized Linears", formats_text(context));
  const auto formats_of = [&](const LinearSpec& linear) { return std::vector{context.format(linear)}; };
  report.facts.emplace_back("tensor parallelism", serving_sizes(*context.output.spec, formats_of).text());
}

}  // namespace

VerifyReport verify(const VerifyOptions& options) {
  VerifyReport report;
  const std::optional<OpenModel> output = open_output(options.model, report);
  if (!output) return report;
  std::optional<Checkpoint> source;
  if (!options.source.empty()) source = Checkpoint::open(options.source);
  std::optional<SourceStorage> source_storage;
  if (source) source_storage = find_storage(*source, *output->spec);
  VerifyContext context = make_verify_context(*output, options);
  context.source = source ? &*source : nullptr;
  context.source_stored = source_storage ? &source_storage->stored : nullptr;
  if (source) {
    context.source_native = source_storage->native;
    context.source_spec = describe_source(*source);
  }
  add_facts(report, context);

  std::vector<std::string_view> checked = {"container", "config-schema"}, left_out;
  for (const VerifyRule& rule : verify_rules()) {
    if (rule.needs_source && !source) {
      left_out.push_back(rule.name);
      continue;
    }
    Findings findings(rule.name, report);
    rule.check(context, findings);
    checked.push_back(rule.name);
  }
  std::ranges::stable_sort(report.quality, {}, &LinearQuality::sqnr);
  report.facts.emplace_back("checked", fmt::format("{}", fmt::join(checked, ", ")));
  if (!left_out.empty())
    report.facts.emplace_back("not checked", fmt::format("{}: they need --source", fmt::join(left_out, ", ")));
  for (auto& fact : loader_facts(context, report)) report.facts.push_back(std::move(fact));
  return report;
}

}  // namespace strata
