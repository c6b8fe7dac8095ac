#include "engine/work/run_keys.h"

#include <fmt/ranges.h>

#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/option_text.h"
#include "cache/source_identity.h"
#include "engine/device/compute.h"
#include "engine/graph/run_passes.h"
#include "engine/plan/part.h"
#include "engine/plan/request_options.h"
#include "engine/rounding/rounding.h"

namespace strata {
namespace {

std::string hash_of(std::string_view text) { return Hasher().add(text).hex(); }

std::string versions_text(bool calibrate) {
  std::string text;
  for (const PassType* pass : passes_for(calibrate)) text += fmt::format("{} {} ", pass->name, pass->version);
  return text;
}

// What is read for a visit: where it stands, in which files.
class VisitSource {
 public:
  VisitSource(const OpenModel& model, const Visit& visit, std::span<const std::pair<std::string, std::string>> shards) {
    Hasher tensors;
    std::set<int> files;
    for (const TensorPiece& piece : stored_pieces(model, visit.linears, visit.kept)) {
      const TensorInfo& t = *piece.tensor;
      tensors.add(fmt::format("{} {} {} {} {} {};", t.name, dtype_name(t.dtype), fmt::join(t.shape, ","), t.file,
                              t.offset, t.bytes));
      files.insert(t.file);
    }
    tensors_ = tensors.hex();
    for (const int file : files) {
      const auto& [name, identity] = shards[static_cast<std::size_t>(file)];
      files_.append(name).append(": ").append(identity).append("; ");
    }
  }

  void add_to(Fingerprint& print) const {
    print.add(std::string(source_keys::files), files_);
    print.add(std::string(source_keys::tensors), tensors_);
  }

 private:
  std::string tensors_, files_;
};

std::string formats_of(const Assignment& assignment, const Visit& visit) {
  Hasher hasher;
  for (const LinearSpec* linear : visit.linears)
    hasher.add(fmt::format("{}={} {}{};", linear->module, assignment.of(*linear).name, assignment.of(*linear).version,
                           assignment.copies_codes(*linear) ? " copied" : ""));
  return hasher.hex();
}

// Of every Linear, the versions of the formats included: two assignments may have as many of each.
std::string assignment_hash(const Prepared& prepared) {
  Hasher hasher;
  for (const Visit& visit : prepared.model.visits) hasher.add(formats_of(prepared.assignment, visit));
  return hasher.hex();
}

std::string layout_of(const OutputPlan& plan) {
  Hasher hasher;
  for (const OutputShard& shard : plan.shards) hasher.add(shard.file).add(shard.header);
  return hasher.hex();
}

const char* rule_name(ScaleRule rule) {
  if (rule == ScaleRule::minmax) return "minmax";
  return rule == ScaleRule::search ? "search" : "compressed-tensors";
}

const char* type_name(BoundaryType type) { return type == BoundaryType::f32 ? "f32" : "bf16"; }

// "scale-search 1": whoever changes what a method gives changes its version.
std::string method_text(const RoundingRequest& rounding) {
  const RoundingMethod& method = require_rounding_method(rounding.method_name());
  return fmt::format("{} {}", method.name, method.version);
}

Fingerprint whole_run(const Prepared& prepared, const QuantizeRequest& request, const TokenRows* tokens,
                      std::span<const std::pair<std::string, std::string>> shards) {
  Fingerprint print;
  for (const auto& [name, identity] : shards) print.add(name, identity);
  print.add("config.json", hash_of(prepared.model.checkpoint.config_text()));
  for (const auto& [name, bytes] : prepared.output.sidecars)
    print.add("file " + name, content_hash(InputFile(join_path(prepared.model.checkpoint.directory(), name))));
  for (const RequestOption& option : request_options())
    if (option.in_keys == InKeys::yes || (option.in_keys == InKeys::with_data && tokens != nullptr))
      print.add(spoken_name(option.names), option.text(request));
  print.add("formats", formats_text(prepared.output));
  print.add("assignment", assignment_hash(prepared));
  print.add("--method", method_text(request.rounding));
  print.add("scales", rule_name(prepared.assignment.rule));
  print.add("layout", layout_of(prepared.output));
  print.add("config of the output", hash_of(prepared.output.config_json));
  print.add("device", device_kind(request.machine.device));
  print.add("passes", versions_text(prepared.calibrate));
  print.add("libtorch", std::string(libtorch_version()));
  print.add("calibration tokens", tokens == nullptr ? "none" : tokens->hash);
  return print;
}

}  // namespace

RunKeys run_keys(const Prepared& prepared, const QuantizeRequest& request, const TokenRows* tokens) {
  const OpenModel& model = prepared.model;
  const std::vector<std::pair<std::string, std::string>> shards = source_identities(model.checkpoint);
  const std::string config = hash_of(model.checkpoint.config_text()), layout = layout_of(prepared.output);
  const std::string method = method_text(request.rounding) + " " + rule_name(prepared.assignment.rule);
  RunKeys keys{.run = whole_run(prepared, request, tokens, shards)};
  if (tokens != nullptr) keys.boundaries.emplace_back().add("tokens", tokens->hash);
  for (const Visit& visit : model.visits) {
    const VisitSource source(model, visit, shards);
    keys.names.push_back(visit.name);
    Fingerprint& key = keys.visits.emplace_back();
    key.add("config.json", config);
    source.add_to(key);
    key.add("formats", formats_of(prepared.assignment, visit));
    key.add("method", method);
    key.add("--kv-cache", prepared.assignment.kv_cache_fp8 ? "fp8" : "none");
    key.add("passes", versions_text(tokens != nullptr));
    key.add("layout", layout);
    key.add("device", device_kind(request.machine.device));
    if (tokens == nullptr) continue;
    const std::string entering = keys.boundaries.back().hash();
    key.add("hidden states", entering);
    key.add("--boundary", type_name(request.calibration.boundary));
    Fingerprint& leaving = keys.boundaries.emplace_back();
    leaving.add("hidden states", entering);
    leaving.add("config.json", config);
    source.add_to(leaving);
    leaving.add("propagate", std::to_string(pass_type("propagate").version));
    leaving.add("device", device_kind(request.machine.device));
    leaving.add("libtorch", std::string(libtorch_version()));
    leaving.add("--boundary", type_name(request.calibration.boundary));
  }
  return keys;
}

}  // namespace strata
