// Where every output tensor goes, known before the first byte is written.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor.h"

namespace strata {

// What the "__metadata__" of our shards names as their writer: whoever reads an output can tell that it is ours.
inline constexpr std::string_view shard_writer = "strata";

struct Shard {
  std::string file;                 // "model.safetensors" or "model-00001-of-00003.safetensors"
  std::uint64_t header_bytes = 0;   // length prefix, JSON and padding
  std::vector<TensorInfo> tensors;  // absolute offsets in the file; TensorInfo::file is the shard's index
  std::uint64_t bytes = 0;          // of the whole file
};

struct ShardLayout {
  struct Place {
    std::uint32_t shard = 0, tensor = 0;  // indices of a shard, and of a tensor in it
  };
  std::vector<Shard> shards;
  std::vector<Place> places;  // of the tensors of all groups, in the order in which they were given
  std::uint64_t tensor_bytes = 0;
};

// The tensors of one module (`x.weight_packed`, `x.weight_scale`, ...), never split over two shards.
struct TensorGroup {
  std::vector<TensorInfo> tensors;  // name, dtype and shape matter; offsets are assigned
};

// Fills shards greedily in the order given, up to `shard_bytes` of tensor data each (a larger group gets
// a shard of its own). Inside a shard large element types stand first, so that all data is aligned.
// Deterministic. Error{usage} when shard_bytes is 0.
ShardLayout lay_out_shards(std::span<const TensorGroup> groups, std::uint64_t shard_bytes);

// Texts of megabytes for a model of many experts, so they are made where they are needed and not kept.
std::string shard_header(const Shard& shard);        // length prefix, JSON and padding
std::string shard_index(const ShardLayout& layout);  // model.safetensors.index.json; empty when there is one shard

}  // namespace strata
