// A checkpoint that is understood: its family, its layers, how each Linear is stored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "formats/config/quantization_config.h"
#include "formats/storage/stored_linear.h"
#include "profiles/model_spec.h"

namespace strata {

struct OpenModel {
  Checkpoint checkpoint;
  QuantizationConfig stored;  // what compressed-tensors says; empty for dense and native sources
  ModelSpec spec;
  NativeRules native = {};                // what other tools' storages are read by
  std::vector<std::string> dropped = {};  // tensors that no output takes over: scales of a cache

  // The format of compressed-tensors that stores a module; nullptr when it is dense or native.
  const NumberFormat* stored_format(std::string_view module) const { return stored.format_of(module); }
  // How a Linear is stored, whatever wrote it.
  StoredLinear stored_linear(const LinearSpec& linear) const;
};

// Opens, finds the family, audits every tensor. Error{input} with the subject otherwise.
OpenModel open_model(const std::string& directory);

// One step of a sweep: a decoder layer, or one of the two pseudo-layers that travel the same road.
struct Visit {
  enum class Kind { embedding, layer, head };
  Kind kind = Kind::layer;
  std::string name;                        // "embedding", "layer 3", "head"
  const LayerSpec* layer = nullptr;        // for Kind::layer
  std::vector<const LinearSpec*> linears;  // that have a weight of their own on disk
  std::vector<std::string> kept;           // further tensors, copied as they are: norms, biases, the embedding
  std::vector<std::string> borrowed;       // tensors of another visit that this one reads: the embedding of a tied head

  std::string kind_name() const;  // "embedding", "dense", "moe", "head"
};

// All visits in order. Every tensor of the checkpoint but the dropped ones belongs to exactly one of them. Points
// into `model`.
std::vector<Visit> visits(const OpenModel& model);

// The tensors of a visit in the order of their place on disk; borrowed ones come with a forward only.
enum class Borrowed { leave_out, include };
std::vector<const TensorInfo*> visit_tensors(const OpenModel& model, const Visit& visit, Borrowed borrowed);

}  // namespace strata
