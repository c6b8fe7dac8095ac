// A checkpoint that is understood: its family, its layers, how each Linear is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "formats/config/quantization_config.h"
#include "formats/storage/stored_linear.h"
#include "profiles/model_spec.h"

namespace strata {

// Bytes [skip, skip + bytes) of a stored tensor.
struct TensorPiece {
  const TensorInfo* tensor = nullptr;
  std::uint64_t skip = 0, bytes = 0;
};

// A Linear as headers tell it: what it is, and how the checkpoint stores it.
struct LinearPlan {
  const LinearSpec* spec = nullptr;
  StoredLinear stored;
  std::vector<const TensorInfo*> tensors = {};  // of stored.fields, in their order; of a slice, the one that it is of

  TensorPiece piece(std::size_t field) const;               // the bytes of stored.fields[field]
  const TensorInfo& tensor(std::string_view suffix) const;  // Error{bug} when none of them is called so
};

// One step of a sweep: a decoder layer, one of the two pseudo-layers that travel the same road, or a section, which is
// kept tensors alone.
struct Visit {
  enum class Kind { section, embedding, layer, head };
  Kind kind = Kind::layer;
  std::string name;                         // "section visual", "embedding", "layer 3", "head"
  const LayerSpec* layer = nullptr;         // for Kind::layer
  std::vector<const LinearSpec*> linears;   // that have a weight of their own on disk
  std::vector<const TensorInfo*> kept;      // further tensors, copied as they are: norms, biases, the embedding
  std::vector<const TensorInfo*> borrowed;  // of another visit, which this one reads: the embedding of a tied head

  std::string kind_name() const;  // "section", "embedding", "dense", "moe", "head"
};

// Names are looked up once, when it is made: whoever needs a Linear's tensors takes its row. It may be moved; what is
// pointed at stays where it is.
struct OpenModel {
  // `model`: with its Linears numbered, as describe_model() gives it. Never fails: what is missing or wrong is for the
  // claim audit to say.
  OpenModel(Checkpoint source, QuantizationConfig config, ModelSpec model, NativeRules native_rules = {},
            std::vector<std::string> dropped_tensors = {});

  Checkpoint checkpoint;
  QuantizationConfig stored;  // what compressed-tensors says; empty for dense and native sources
  std::unique_ptr<const ModelSpec> spec;
  NativeRules native;                // what other tools' storages are read by
  std::vector<std::string> dropped;  // tensors that no output takes over: scales of a cache
  std::vector<LinearPlan> linears;   // by LinearSpec::index
  // In order: sections, which no hidden state goes through, then the embedding, the layers and the head. Every tensor
  // of the checkpoint but the dropped ones belongs to exactly one of them.
  std::vector<Visit> visits;

  const LinearPlan& linear(const LinearSpec& linear) const { return linears.at(linear.index); }
  // The format of compressed-tensors that stores a module; nullptr when it is dense or native.
  const NumberFormat* stored_format(std::string_view module) const { return stored.format_of(module); }
};

// Opens, finds the family, audits every tensor. Error{input} with the subject otherwise.
OpenModel open_model(const std::string& directory);

}  // namespace strata
