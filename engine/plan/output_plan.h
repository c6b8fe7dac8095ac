// Everything about the output that is known before the first weight is read: names, bytes, offsets, config.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/plan/assignment.h"
#include "engine/plan/open_model.h"
#include "engine/plan/output_slots.h"

namespace strata {

struct OutputShard {
  std::string file;
  std::string header;       // length prefix, JSON and padding
  std::uint64_t bytes = 0;  // of the whole file
};

struct OutputPlan {
  std::vector<OutputShard> shards;
  OutputSlots slots;
  std::string index_json;  // empty when there is one shard
  std::string config_json;
  std::vector<std::pair<std::string, std::uint64_t>> sidecars;  // path in the folder, bytes

  // Headers and index take megabytes for a model of many experts; a sink has written them when it is made.
  void forget_texts();

  std::uint64_t tensor_bytes = 0;
  std::uint64_t total_bytes = 0;  // of the folder, every file
  double bits_per_parameter = 0;  // over the quantized Linears, scales counted; 0 when there are none
  std::vector<std::pair<std::string, int>> linears_per_format;  // in order of first appearance
};

// Deterministic; reads only headers.
OutputPlan plan_output(const OpenModel& model, const Assignment& assignment, std::uint64_t shard_size);

std::string formats_text(const OutputPlan& plan);  // "NVFP4 42, KEEP 1"

// Takes over what stands where.
void add_layout(OutputPlan& plan, const ShardLayout& layout);

// The tensors that an encoded Linear becomes: "<module>.<suffix>" with dtype and shape.
std::vector<TensorInfo> encoded_tensors(const OpenModel& model, const LinearSpec& linear, const Assignment& assignment);

// "<attention>.k_scale" and "<attention>.v_scale", F32 [1], as servers of compressed-tensors look for them.
std::vector<TensorInfo> cache_scale_tensors(const AttentionSpec& attention);

// Names of all tensors of the output that are written for a visit.
std::vector<std::string> output_tensors(const OpenModel& model, const Assignment& assignment, const Visit& visit);

}  // namespace strata
