#include "engine/plan/output_plan.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "engine/plan/copies.h"
#include "formats/config/quantization_config.h"

namespace strata {
namespace {

std::string last_component(const std::string& module) { return module.substr(module.rfind('.') + 1); }

TensorInfo as_written(const TensorInfo& tensor) {
  return {.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = tensor.bytes};
}

std::vector<TensorGroup> visit_groups(const OpenModel& model, const Visit& visit, const Assignment& assignment) {
  std::vector<TensorGroup> groups;
  std::unordered_set<const TensorInfo*> biases;
  for (const LinearSpec* linear : visit.linears) {
    TensorGroup group{encoded_tensors(model, *linear, assignment)};
    if (linear->bias) {
      const TensorInfo& bias = model.checkpoint.at(linear->module + ".bias");
      group.tensors.push_back(as_written(bias));
      biases.insert(&bias);
    }
    groups.push_back(std::move(group));
  }
  if (visit.layer != nullptr && assignment.kv_cache_fp8) groups.push_back({cache_scale_tensors(visit.layer->mixer)});
  for (const TensorInfo* tensor : visit.kept)
    if (!biases.contains(tensor)) groups.push_back({{as_written(*tensor)}});
  return groups;
}

std::vector<LinearFormat> linear_formats(const std::vector<Visit>& all, const Assignment& assignment) {
  std::vector<LinearFormat> formats;
  for (const Visit& visit : all)
    for (const auto& group : fused_groups(visit.linears)) {
      std::vector<std::string> names;
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
      if (format.config_group.empty()) continue;
      parameters += static_cast<std::uint64_t>(linear->out * linear->in);
      for (const TensorInfo& tensor : encoded_tensors(model, *linear, assignment)) bytes += tensor.bytes;
    }
  if (parameters > 0) plan.bits_per_parameter = 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

}  // namespace

std::vector<TensorInfo> encoded_tensors(const OpenModel& model, const LinearSpec& linear,
                                        const Assignment& assignment) {
  const NumberFormat& format = assignment.of(linear);
  const StoredLinear& stored = model.linear(linear).stored;
  std::vector<TensorInfo> tensors;
  if (assignment.copies_codes(linear)) {
    for (CopiedTensor& copied : copied_tensors(stored, format)) tensors.push_back(std::move(copied.tensor));
    return tensors;
  }
  for (const Field& field : format.fields({linear.out, linear.in}, stored.weight_dtype(), assignment.rule))
    tensors.push_back({.name = linear.module + "." + field.suffix,
                       .dtype = field.dtype,
                       .shape = field.shape,
                       .bytes = tensor_bytes(field.dtype, field.shape).value()});
  return tensors;
}

std::vector<TensorInfo> cache_scale_tensors(const AttentionSpec& attention) {
  const std::string module = attention.k.module.substr(0, attention.k.module.rfind('.'));
  std::vector<TensorInfo> tensors;
  for (const char* const name : {".k_scale", ".v_scale"})
    tensors.push_back({.name = module + name, .dtype = Dtype::f32, .shape = {1}, .bytes = sizeof(float)});
  return tensors;
}

std::vector<std::string> output_tensors(const OpenModel& model, const Assignment& assignment, const Visit& visit) {
  std::vector<std::string> names;
  for (const TensorGroup& group : visit_groups(model, visit, assignment))
    for (const TensorInfo& tensor : group.tensors) names.push_back(tensor.name);
  return names;
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
  std::vector<TensorGroup> groups;
  for (const Visit& visit : all)
    for (TensorGroup& group : visit_groups(model, visit, assignment)) groups.push_back(std::move(group));
  add_layout(plan, lay_out_shards(groups, shard_size));
  plan.config_json = quantized_config_json(model.checkpoint.config_text(), linear_formats(all, assignment),
                                           {.kv_cache_fp8 = assignment.kv_cache_fp8, .untied = assignment.untied});
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
