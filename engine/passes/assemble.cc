// Writes the layer's encoded Linears and kept tensors to their planned places.
#include "engine/cache_scales.h"
#include "engine/pass.h"
#include "formats/weights.h"

namespace strata::passes {
namespace {

class Assemble final : public Pass {
 public:
  void run(LayerContext& layer) override {
    const std::uint64_t before = layer.run.sink.written_bytes();
    for (const Render& render : layer.renders)
      for (std::size_t i = 0; i < render.tensors.size(); ++i)
        layer.run.sink.write(render.tensors[i].name, render.bytes[i]);
    if (layer.visit.layer != nullptr && layer.run.assignment.kv_cache_fp8) write_cache_scales(layer);
    for (const std::string& name : layer.visit.kept) {
      warn_of_broken_values(layer, name);
      layer.run.sink.write(name, layer.bytes.bytes(name));
    }
    layer.done.bytes_written = layer.run.sink.written_bytes() - before;
  }

 private:
  static void write_cache_scales(LayerContext& layer) {
    const AttentionSpec& attention = layer.visit.layer->mixer;
    const std::array<float, 2> scales = cache_scales(attention, layer.moments);
    const std::vector<TensorInfo> tensors = cache_scale_tensors(attention);
    for (std::size_t i = 0; i < tensors.size(); ++i)
      layer.run.sink.write(tensors[i].name, std::as_bytes(std::span(&scales[i], 1)));
  }

  // Norms and embeddings are copied whatever they hold, but a model with NaN in one answers nothing else.
  static void warn_of_broken_values(LayerContext& layer, const std::string& name) {
    const TensorInfo& tensor = layer.run.model.checkpoint.at(name);
    if (tensor.dtype != Dtype::f32 && tensor.dtype != Dtype::bf16 && tensor.dtype != Dtype::f16) return;
    const WeightView values{.data = layer.bytes.bytes(name).data(),
                            .dtype = tensor.dtype,
                            .rows = 1,
                            .cols = static_cast<std::int64_t>(tensor.bytes / dtype_bytes(tensor.dtype))};
    if (!all_finite(values))
      layer.decisions.emplace_back(name, "kept as it is, with NaN or infinity in it: the source is broken");
  }
};

}  // namespace

extern const PassType assemble{
    .name = "assemble",
    .summary = "writes encoded Linears and kept tensors into the planned shards",
    .version = 1,
    .reads = facts::source | facts::renders,
    .uses = facts::moments,  // scales of the cache of keys and values
    .writes = facts::output,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<Assemble>(); },
};

}  // namespace strata::passes
