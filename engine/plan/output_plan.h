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

// Slots of what is written for a visit: [first, first + count).
struct VisitSlots {
  std::size_t first = 0, count = 0;
  std::size_t cache_scales = 0;  // the first of the two of its attention, where the output has such
};

struct OutputPlan {
  std::vector<OutputShard> shards;
  OutputSlots slots;
  std::vector<VisitSlots> visits;  // as OpenModel::visits
  // Of each Linear, by LinearSpec::index: the slot of the first of its written_fields(); the others follow.
  std::vector<std::size_t> linears;
  std::vector<std::size_t> kept;  // of each tensor of the source, in their order: where it is copied to, as it is
  std::string index_json;         // empty when there is one shard
  std::string config_json;
  std::vector<std::pair<std::string, std::uint64_t>> sidecars;  // path in the folder, bytes

  // The slot of a tensor of the source that is copied as it is.
  std::size_t slot_of(const Checkpoint& source, const TensorInfo& tensor) const {
    return kept.at(static_cast<std::size_t>(&tensor - source.tensors().data()));
  }

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

// The tensors "<module>.<suffix>" that a Linear becomes.
std::vector<Field> written_fields(const LinearPlan& linear, const Assignment& assignment);

// "<attention>.k_scale" and "<attention>.v_scale", F32 [1], as servers of compressed-tensors look for them.
std::vector<TensorInfo> cache_scale_tensors(const AttentionSpec& attention);

}  // namespace strata
