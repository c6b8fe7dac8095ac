#include "bench/synthetic/model.h"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "bench/synthetic/values.h"
#include "formats/checkpoint/shard_layout.h"
#include "formats/text/dataset.h"
#include "formats/text/token_rows.h"
#include "profiles/profile.h"

namespace strata::synthetic {
namespace {

// Every dense tensor with a name that profiles look for is there; packed ones are not.
TensorLookup all_dense(const Config& config) {
  const Config holder = config.has("tie_word_embeddings") ? config : text_config(config);
  return [tied = holder.boolean_or("tie_word_embeddings", false)](std::string_view name) -> const TensorInfo* {
    static const TensorInfo present;
    if (tied && name == "lm_head.weight") return nullptr;
    return name.ends_with(".weight") ? &present : nullptr;
  };
}

ModelSpec describe(const std::string& json) {
  const Config config = Config::parse(json, "config.json");
  return require_profile(config).describe(config, all_dense(config));
}

class TensorList {
 public:
  explicit TensorList(Dtype dtype) : dtype_(dtype) {}

  void add(const std::string& name, Shape shape) {
    groups_.push_back({{{.name = name, .dtype = dtype_, .shape = std::move(shape)}}});
  }
  void add(const LinearSpec& linear) {
    add(linear.module + ".weight", {linear.out, linear.in});
    if (linear.bias) add(linear.module + ".bias", {linear.out});
  }
  void add(const NormSpec& norm) { add(norm.weight, {norm.size}); }

  std::span<const TensorGroup> groups() const { return groups_; }

 private:
  Dtype dtype_;
  std::vector<TensorGroup> groups_;
};

TensorList tensors_of(const ModelSpec& model, Dtype dtype) {
  TensorList list(dtype);
  list.add(model.embedding, {model.vocabulary, model.hidden});
  for (const LayerSpec& layer : model.layers) {
    for (const LinearSpec* const linear : linears(layer)) list.add(*linear);
    for (const NormSpec* const norm : norms(layer)) list.add(*norm);
  }
  list.add(model.final_norm);
  if (!model.tied) list.add(model.head);
  return list;
}

Spread spread_of(const TensorInfo& tensor) {
  if (tensor.shape.size() > 1) return {.cols = tensor.shape.back()};
  return {.center = tensor.name.ends_with(".bias") ? 0.0f : 1.0f};
}

// Pieces of a shard that threads fill and write.
struct Piece {
  const TensorInfo* tensor;
  std::uint64_t first, bytes;  // element; bytes of the piece
};

void write_shard(const std::string& folder, const Shard& shard, const ModelOptions& options, const Values& values) {
  constexpr std::uint64_t piece_bytes = 1 << 20;
  const std::uint64_t element = dtype_bytes(options.dtype);
  std::vector<Piece> pieces;
  for (const TensorInfo& tensor : shard.tensors)
    for (std::uint64_t at = 0; at < tensor.bytes; at += piece_bytes)
      pieces.push_back({&tensor, at / element, std::min(piece_bytes, tensor.bytes - at)});
  OutputFile file(join_path(folder, shard.file), shard.bytes);
  const std::string header = shard_header(shard);
  file.write_at(0, std::as_bytes(std::span(header)));
  tbb::parallel_for(std::size_t{0}, pieces.size(), [&](std::size_t i) {
    const Piece& piece = pieces[i];
    std::vector<std::byte> bytes(piece.bytes);
    values.fill(tensor_key(options.seed, piece.tensor->name), spread_of(*piece.tensor), piece.first, options.dtype,
                bytes);
    file.write_at(piece.tensor->offset + piece.first * element, bytes);
  });
  file.sync();
}

}  // namespace

std::uint64_t write_model(const std::string& folder, const ModelOptions& options) {
  if (exists(folder)) fail(Fault::usage, "{}: exists already; choose another name", folder);
  const TensorList tensors = tensors_of(describe(options.config), options.dtype);
  const ShardLayout layout = lay_out_shards(tensors.groups(), options.shard_bytes);
  if (const std::uint64_t free = free_disk_bytes(folder); free < layout.tensor_bytes)
    fail(Fault::budget, "{}: the model takes {} bytes, but {} are free", folder, layout.tensor_bytes, free);
  const Values values;
  make_directory(folder);
  for (const Shard& shard : layout.shards) write_shard(folder, shard, options, values);
  if (const std::string index = shard_index(layout); !index.empty())
    write_text(join_path(folder, "model.safetensors.index.json"), index);
  write_text(join_path(folder, "config.json"), options.config);
  return layout.tensor_bytes;
}

void write_tokens(const std::string& path, const ModelOptions& options, std::int64_t rows, std::int64_t columns) {
  const auto vocabulary = static_cast<std::int32_t>(describe(options.config).vocabulary);
  const std::uint64_t key = tensor_key(options.seed, "input_ids");
  std::vector<std::vector<TokenId>> ids(static_cast<std::size_t>(rows));
  std::uint64_t counter = 0;
  for (std::vector<TokenId>& row : ids)
    for (std::int64_t i = 0; i < columns; ++i) row.push_back(skewed_id(key, counter++, vocabulary));
  write_token_file(path, make_rows(ids));
}

}  // namespace strata::synthetic
