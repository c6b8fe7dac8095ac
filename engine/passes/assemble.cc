// Writes encoded Linears and kept tensors to their planned places.
#include <algorithm>
#include <array>

#include "engine/passes/cache_scales.h"
#include "engine/plan/lost_weight.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

namespace strata::passes {
namespace {

class Assemble final : public Pass {
 public:
  void run(PartContext& context) override {
    const Part& part = context.part();
    const OutputPlan& output = context.layer.run.output;
    const Checkpoint& source = context.layer.run.model.checkpoint;
    std::vector<OutputPiece> pieces;
    for (const Render& render : context.renders)
      for (std::size_t i = 0; i < render.fields.size(); ++i)
        if (i != render.late)
          pieces.push_back({.slot = output.linears.at(render.linear->index) + i, .bytes = render.bytes[i]});
    for (const TensorInfo* tensor : part.kept) {
      const std::span<const std::byte> bytes = context.bytes().bytes(*tensor);
      warn_of_broken_values(context.layer, *tensor, bytes);
      pieces.push_back({.slot = output.slot_of(source, *tensor), .bytes = bytes});
    }
    if (part.kind == Part::Kind::copy) {
      const TensorPiece& piece = part.pieces.front();
      const std::span<const std::byte> bytes = context.bytes().pieces().front();
      warn_of_broken_values(context.layer, *piece.tensor, bytes);
      pieces.push_back({.slot = output.slot_of(source, *piece.tensor), .skip = piece.skip, .bytes = bytes});
    }
    // The writer keeps what the bytes lie in for as long as it needs them.
    write(context.layer, std::move(pieces), [source = context.source, renders = context.render_memory] {});
  }

  void end_layer(LayerContext& layer) override {
    if (layer.visit.layer != nullptr && layer.run.assignment.kv_cache_fp8) add_cache_scales(layer);
    const auto late = std::make_shared<std::vector<LateTensor>>(std::move(layer.late));
    std::vector<OutputPiece> pieces;
    for (const LateTensor& tensor : *late) pieces.push_back({.slot = tensor.slot, .bytes = tensor.bytes});
    if (!pieces.empty()) write(layer, std::move(pieces), [late] {});
  }

 private:
  static void write(LayerContext& layer, std::vector<OutputPiece> pieces, std::function<void()> owner) {
    std::uint64_t bytes = 0;
    for (const OutputPiece& piece : pieces) bytes += piece.bytes.size();
    layer.done.bytes_written += bytes;
    const StageTimes::Span waiting(&layer.run.times, Stage::wait_for_write);
    layer.run.writer.push([&run = layer.run, &name = layer.visit.name, index = layer.done.index, bytes,
                           pieces = std::move(pieces), owner = std::move(owner)] {
      const Trace::Span span(run.trace, Track::write, name, {.layer = index, .bytes = bytes});
      run.sink.write(pieces);
    });
  }

  static void add_cache_scales(LayerContext& layer) {
    const std::array<float, 2> scales = cache_scales(layer.visit.layer->mixer, layer.moments);
    const std::size_t first = layer.run.output.visits.at(static_cast<std::size_t>(layer.done.index)).cache_scales;
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const std::span<const std::byte> bytes = std::as_bytes(std::span(&scales[i], 1));
      layer.late.push_back({first + i, {bytes.begin(), bytes.end()}});
    }
  }

  // Norms and embeddings are copied whatever they hold, but a model with NaN in one answers nothing else.
  static void warn_of_broken_values(LayerContext& layer, const TensorInfo& tensor, std::span<const std::byte> bytes) {
    const std::pair<std::string, std::string> broken(tensor.name, kept_broken);
    if (all_finite(tensor.dtype, bytes) || std::ranges::find(layer.decisions, broken) != layer.decisions.end()) return;
    layer.decisions.push_back(broken);
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
