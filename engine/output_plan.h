// Everything about the output that is known before the first weight is read: names, bytes, offsets, config.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/assignment.h"
#include "engine/open_model.h"
#include "formats/shard_layout.h"

namespace strata {

struct OutputPlan {
  ShardLayout layout;
  std::string config_json;
  std::vector<std::pair<std::string, std::uint64_t>> sidecars;  // file name, bytes
  std::unordered_map<std::string_view, const TensorInfo*> slots;  // tensor name to its place, both in the layout

  OutputPlan() = default;
  OutputPlan(OutputPlan&&) = default;  // what the slots point at does not move; a copy would point into the first

  std::uint64_t total_bytes = 0;  // of the folder, every file
  double bits_per_parameter = 0;  // over the quantized Linears, scales counted; 0 when there are none
  std::vector<std::pair<std::string, int>> linears_per_format;  // in order of first appearance
};

// Deterministic; reads only headers.
OutputPlan plan_output(const OpenModel& model, const Assignment& assignment, std::uint64_t shard_size);

// The tensors that an encoded Linear becomes: "<module>.<suffix>" with dtype and shape.
std::vector<TensorInfo> encoded_tensors(const OpenModel& model, const LinearSpec& linear, const Assignment& assignment);

// Names of all tensors of the output that are written for a visit.
std::vector<std::string> output_tensors(const OpenModel& model, const Assignment& assignment, const Visit& visit);

}  // namespace strata
