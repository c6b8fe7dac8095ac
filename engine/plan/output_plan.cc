#include "engine/plan/output_plan.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "engine/plan/copies.h"
#include "formats/config/quantization_config.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

std::string last_component(const std::string& module) { return module.substr(module.rfind('.') + 1); }

// What the output holds, visit by visit, and the slots that it will have: in the same order.
class OutputTensors {
 public:
  OutputTensors(const OpenModel& model, const Assignment& assignment, OutputPlan& plan)
      : model_(model), assignment_(assignment), plan_(plan) {
    plan_.linears.resize(model.linears.size());
    plan_.kept.resize(model.checkpoint.tensors().size());
  }

  void add(const Visit& visit) {
    VisitSlots& slots = plan_.visits.emplace_back(VisitSlots{.first = next_});
    std::unordered_set<const TensorInfo*> biases;
    for (const LinearSpec* linear : visit.linears) {
      add_linear(model_.linear(*linear));
      if (!linear->bias) continue;
      const TensorInfo& bias = model_.checkpoint.at(linear->module + ".bias");
      add_kept(bias);  // stands with its Linear
      biases.insert(&bias);
    }
    slots.cache_scales = next_;
    const AttentionSpec* const attention = visit.layer == nullptr ? nullptr : attention_of(*visit.layer);
    if (attention != nullptr && assignment_.kv_cache_fp8) {
      groups_.push_back({cache_scale_tensors(*attention)});
      next_ += groups_.back().tensors.size();
    }
    for (const TensorInfo* tensor : visit.kept) {
      if (biases.contains(tensor)) continue;
      groups_.emplace_back();
      add_kept(*tensor);
    }
    slots.count = next_ - slots.first;
  }

  const std::vector<TensorGroup>& groups() const { return groups_; }

 private:
  void add_linear(const LinearPlan& linear) {
    plan_.linears[linear.spec->index] = next_;
    TensorGroup& group = groups_.emplace_back();
    const std::vector<Field> fields = written_fields(linear, assignment_);
    const bool as_it_is = assignment_.of(*linear.spec).verbatim && !assignment_.copies_codes(*linear.spec);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      group.tensors.push_back(
          {.name = linear.spec->module + "." + fields[i].suffix, .dtype = fields[i].dtype, .shape = fields[i].shape});
      if (as_it_is && !linear.spec->slice) place_of(*linear.tensors.at(i)) = next_;
      ++next_;
    }
  }

  // To the group that is under way.
  void add_kept(const TensorInfo& tensor) {
    place_of(tensor) = next_++;
    groups_.back().tensors.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape});
  }

  std::size_t& place_of(const TensorInfo& tensor) {
    return plan_.kept.at(static_cast<std::size_t>(&tensor - model_.checkpoint.tensors().data()));
  }

  const OpenModel& model_;
  const Assignment& assignment_;
  OutputPlan& plan_;
  std::vector<TensorGroup> groups_;
  std::size_t next_ = 0;
};

std::vector<LinearFormat> linear_formats(const std::vector<Visit>& all, const Assignment& assignment) {
  std::vector<LinearFormat> formats;
  for (const Visit& visit : all)
    for (const auto& group : fused_groups(visit.linears)) {
      std::vector<std::string> names;
      names.reserve(group.size());
      for (const LinearSpec* linear : group) names.push_back(last_component(linear->module));
      for (const LinearSpec* linear : group)
        formats.push_back({.module = linear->module,
                           .format = &assignment.of(*linear),
                           .fused_with = names,
                           .fused_name = linear->fused_module.empty() ? "" : last_component(linear->fused_module)});
    }
  return formats;
}

void count_linears(const OpenModel& model, const std::vector<Visit>& all, const Assignment& assignment,
                   OutputPlan& plan) {
  std::uint64_t bytes = 0, parameters = 0;
  for (const Visit& visit : all)
    for (const LinearSpec* linear : visit.linears) {
      const NumberFormat& format = assignment.of(*linear);
      const auto found = std::ranges::find(plan.linears_per_format, format.name, &std::pair<std::string, int>::first);
      if (found == plan.linears_per_format.end())
        plan.linears_per_format.emplace_back(format.name, 1);
      else
        ++found->second;
      if (!format.quantizes()) continue;
      parameters += static_cast<std::uint64_t>(linear->out * linear->in);
      for (const Field& field : written_fields(model.linear(*linear), assignment)) bytes += field_bytes(field);
    }
  if (parameters > 0) plan.bits_per_parameter = 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

}  // namespace

std::vector<Field> written_fields(const LinearPlan& linear, const Assignment& assignment) {
  const NumberFormat& format = assignment.of(*linear.spec);
  if (!assignment.copies_codes(*linear.spec))
    return format.fields({linear.spec->out, linear.spec->in}, linear.stored.weight_dtype(), assignment.rule);
  std::vector<Field> fields;
  for (CopiedField& copied : copied_fields(linear.stored, format)) fields.push_back(std::move(copied.field));
  return fields;
}

std::vector<TensorInfo> cache_scale_tensors(const AttentionSpec& attention) {
  const std::string module = attention_module(attention);
  std::vector<TensorInfo> tensors;
  for (const char* const name : {".k_scale", ".v_scale"})
    tensors.push_back({.name = module + name, .dtype = Dtype::f32, .shape = {1}, .bytes = sizeof(float)});
  return tensors;
}

void add_layout(OutputPlan& plan, const ShardLayout& layout) {
  for (const Shard& shard : layout.shards) plan.shards.push_back({shard.file, shard_header(shard), shard.bytes});
  plan.slots = OutputSlots(layout);
  plan.index_json = shard_index(layout);
  plan.tensor_bytes = layout.tensor_bytes;
}

std::string formats_text(const OutputPlan& plan) {
  std::string text;
  for (const auto& [name, count] : plan.linears_per_format)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

void OutputPlan::forget_texts() {
  for (OutputShard& shard : shards) shard.header = {};
  index_json = {};
}

OutputPlan plan_output(const OpenModel& model, const Assignment& assignment, std::uint64_t shard_size) {
  const std::vector<Visit>& all = model.visits;
  OutputPlan plan;
  OutputTensors tensors(model, assignment, plan);
  for (const Visit& visit : all) tensors.add(visit);
  add_layout(plan, lay_out_shards(tensors.groups(), shard_size));
  ConfigExtras extras{
      .kv_cache_fp8 = assignment.kv_cache_fp8, .untied = assignment.untied, .mixed_experts = assignment.per_expert};
  for (const Section& section : model.spec->sections) extras.kept.push_back(section.prefix);
  plan.config_json = quantized_config_json(model.checkpoint.config_text(), linear_formats(all, assignment), extras);
  plan.total_bytes = plan.config_json.size() + plan.index_json.size();
  for (const OutputShard& shard : plan.shards) plan.total_bytes += shard.bytes;
  for (const std::string& name : model.checkpoint.sidecars()) {
    plan.sidecars.emplace_back(name, file_size(join_path(model.checkpoint.directory(), name)));
    plan.total_bytes += plan.sidecars.back().second;
  }
  count_linears(model, all, assignment, plan);
  return plan;
}

}  // namespace strata
