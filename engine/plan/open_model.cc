#include "engine/plan/open_model.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "profiles/claims.h"
#include "profiles/layer_questions.h"
#include "profiles/profile.h"
#include "profiles/source_storage.h"

namespace strata {
namespace {

// A dense Linear in a tensor with others. Without fields when that is not there.
LinearPlan plan_slice(const OpenModel& model, const LinearSpec& linear) {
  LinearPlan row{.spec = &linear, .stored = {.module = linear.module, .weight = {linear.out, linear.in}}};
  if (const TensorInfo* const tensor = model.checkpoint.find(linear.slice->tensor)) {
    row.stored.fields = {{"weight", tensor->dtype, row.stored.weight}};
    row.tensors = {tensor};
  }
  return row;
}

std::vector<LinearPlan> plan_linears(const OpenModel& model) {
  std::vector<LinearPlan> rows;
  for (const LinearSpec* linear : linears(*model.spec)) {
    if (linear->slice) {
      rows.push_back(plan_slice(model, *linear));
      continue;
    }
    LinearPlan& row = rows.emplace_back(LinearPlan{
        .spec = linear,
        .stored =
            find_stored_linear(linear->module, {linear->out, linear->in}, model.stored_format(linear->module),
                               model.native, [&](std::string_view name) { return model.checkpoint.find(name); })});
    for (const Field& field : row.stored.fields)
      row.tensors.push_back(model.checkpoint.find(linear->module + "." + field.suffix));
  }
  return rows;
}

// The visits of a model, without what the audit accepted without a use.
class VisitList {
 public:
  explicit VisitList(const OpenModel& model) : model_(model) {
    const ModelSpec& spec = *model.spec;
    for (const Section& section : spec.sections) add_section(section);
    all_.push_back({.kind = Visit::Kind::embedding, .name = "embedding"});
    keep(spec.embedding);
    for (std::size_t i = 0; i < spec.layers.size(); ++i) add_layer(spec.layers[i], i);
    all_.push_back({.kind = Visit::Kind::head, .name = "head"});
    keep(spec.final_norm.weight);
    if (!spec.tied)
      add_linears({&spec.head});
    else if (const TensorInfo* const embedding = model.checkpoint.find(spec.embedding))
      all_.back().borrowed.push_back(embedding);
  }

  // Old rotary tables, the second copy of a tied head: they are carried along.
  std::vector<Visit> finish() {
    std::unordered_set<std::string_view> taken(model_.dropped.begin(), model_.dropped.end());
    for (const Visit& visit : all_) {
      for (const LinearSpec* linear : visit.linears)
        for (const TensorInfo* tensor : model_.linear(*linear).tensors) taken.insert(tensor->name);
      for (const TensorInfo* tensor : visit.kept) taken.insert(tensor->name);
    }
    for (const TensorInfo& tensor : model_.checkpoint.tensors())
      if (!taken.contains(tensor.name)) all_.back().kept.push_back(&tensor);
    return std::move(all_);
  }

 private:
  void add_section(const Section& section) {
    Visit visit{.kind = Visit::Kind::section, .name = "section " + section.name};
    for (const TensorInfo& tensor : model_.checkpoint.tensors())
      if (section.has(tensor.name)) visit.kept.push_back(&tensor);
    if (!visit.kept.empty()) all_.push_back(std::move(visit));
  }

  void add_layer(const LayerSpec& layer, std::size_t index) {
    all_.push_back({.kind = Visit::Kind::layer, .name = fmt::format("layer {}", index), .layer = &layer});
    for (const NormSpec* norm : norms(layer)) keep(norm->weight);
    add_linears(linears(layer));
  }

  void add_linears(std::vector<const LinearSpec*> linears) {
    all_.back().linears = std::move(linears);
    for (const LinearSpec* linear : all_.back().linears)
      if (linear->bias) keep(linear->module + ".bias");
  }

  void keep(const std::string& name) {
    if (const TensorInfo* const tensor = model_.checkpoint.find(name)) all_.back().kept.push_back(tensor);
  }

  const OpenModel& model_;
  std::vector<Visit> all_;
};

}  // namespace

OpenModel::OpenModel(Checkpoint source, QuantizationConfig config, ModelSpec model, NativeRules native_rules,
                     std::vector<std::string> dropped_tensors)
    : checkpoint(std::move(source)),
      stored(std::move(config)),
      spec(std::make_unique<const ModelSpec>(std::move(model))),
      native(std::move(native_rules)),
      dropped(std::move(dropped_tensors)) {
  linears = plan_linears(*this);
  visits = VisitList(*this).finish();
}

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
  return OpenModel(std::move(checkpoint), std::move(storage.stored), std::move(spec), storage.native,
                   std::move(claims.dropped));
}

TensorPiece LinearPlan::piece(std::size_t field) const {
  const TensorInfo* const tensor = tensors.at(field);
  if (!spec->slice) return {tensor, 0, tensor->bytes};
  const std::int64_t row = spec->slice->index * tensor->shape.at(1) + spec->slice->first_row;
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(spec->in) * dtype_bytes(tensor->dtype);
  return {tensor, static_cast<std::uint64_t>(row) * row_bytes, static_cast<std::uint64_t>(spec->out) * row_bytes};
}

const TensorInfo& LinearPlan::tensor(std::string_view suffix) const {
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (stored.fields[i].suffix == suffix) return *tensors[i];
  fail(Fault::bug, "{}: no {} is stored for it", spec->module, suffix);
}

std::string Visit::kind_name() const {
  if (kind == Kind::section) return "section";
  if (kind == Kind::embedding) return "embedding";
  if (kind == Kind::head) return "head";
  return experts_of(*layer) != nullptr ? "moe" : "dense";
}

}  // namespace strata
