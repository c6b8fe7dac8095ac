#include "engine/plan/open_model.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "profiles/claims.h"
#include "profiles/profile.h"
#include "profiles/source_storage.h"

namespace strata {
namespace {

// "<module>.<field>" of everything stored for a Linear but its bias.
std::vector<std::string> stored_names(const OpenModel& model, const LinearSpec& linear) {
  std::vector<std::string> names;
  for (const Field& field : model.stored_linear(linear).fields) names.push_back(linear.module + "." + field.suffix);
  return names;
}

Visit layer_visit(const LayerSpec& layer, std::size_t index) {
  Visit visit{.kind = Visit::Kind::layer, .name = fmt::format("layer {}", index), .layer = &layer};
  visit.linears = linears(layer);
  for (const NormSpec* norm : norms(layer)) visit.kept.push_back(norm->weight);
  return visit;
}

}  // namespace

OpenModel open_model(const std::string& directory) {
  Checkpoint checkpoint = Checkpoint::open(directory);
  const Profile& profile = require_profile(checkpoint.config());
  ModelSpec spec = describe_checkpoint(profile, checkpoint);
  SourceStorage storage = find_storage(checkpoint, spec);
  const StorageRules rules{.format = [&](std::string_view module) { return storage.stored.format_of(module); },
                           .native = storage.native};
  Claims claims = claim_tensors(spec, checkpoint, rules);
  require_no_problems(claims, checkpoint);
  if (!claims.uncut.empty()) fail(Fault::input, "{}: {}; the file is broken", directory, claims.uncut.front());
  return {std::move(checkpoint), std::move(storage.stored), std::move(spec), storage.native, std::move(claims.dropped)};
}

StoredLinear OpenModel::stored_linear(const LinearSpec& linear) const {
  return find_stored_linear(linear.module, {linear.out, linear.in}, stored_format(linear.module), native,
                            [&](std::string_view name) { return checkpoint.find(name); });
}

std::string Visit::kind_name() const {
  if (kind == Kind::embedding) return "embedding";
  if (kind == Kind::head) return "head";
  return layer->moe() != nullptr ? "moe" : "dense";
}

std::vector<Visit> visits(const OpenModel& model) {
  const ModelSpec& spec = model.spec;
  std::vector<Visit> all;
  all.push_back({.kind = Visit::Kind::embedding, .name = "embedding", .kept = {spec.embedding}});
  for (std::size_t i = 0; i < spec.layers.size(); ++i) all.push_back(layer_visit(spec.layers[i], i));
  all.push_back({.kind = Visit::Kind::head, .name = "head", .kept = {spec.final_norm.weight}});
  if (spec.tied)
    all.back().borrowed.push_back(spec.embedding);
  else
    all.back().linears.push_back(&spec.head);

  std::unordered_set<std::string> taken(model.dropped.begin(), model.dropped.end());
  for (Visit& visit : all) {
    for (const LinearSpec* linear : visit.linears) {
      for (std::string& name : stored_names(model, *linear)) taken.insert(std::move(name));
      if (linear->bias) visit.kept.push_back(linear->module + ".bias");
    }
    taken.insert(visit.kept.begin(), visit.kept.end());
  }
  // What the audit accepted without a use (old rotary tables, the second copy of a tied head) is carried along.
  for (const TensorInfo& tensor : model.checkpoint.tensors())
    if (!taken.contains(tensor.name)) all.back().kept.push_back(tensor.name);
  return all;
}

std::vector<const TensorInfo*> visit_tensors(const OpenModel& model, const Visit& visit, Borrowed borrowed) {
  std::vector<const TensorInfo*> tensors;
  for (const LinearSpec* linear : visit.linears)
    for (const std::string& name : stored_names(model, *linear)) tensors.push_back(&model.checkpoint.at(name));
  for (const std::string& name : visit.kept) tensors.push_back(&model.checkpoint.at(name));
  if (borrowed == Borrowed::include)
    for (const std::string& name : visit.borrowed) tensors.push_back(&model.checkpoint.at(name));
  std::ranges::sort(tensors, {}, [](const TensorInfo* t) { return std::tuple(t->file, t->offset); });
  return tensors;
}

}  // namespace strata
