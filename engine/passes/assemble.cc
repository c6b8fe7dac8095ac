// Writes the layer's encoded Linears and kept tensors to their planned places.
#include "engine/pass.h"

namespace strata::passes {
namespace {

class Assemble final : public Pass {
 public:
  void run(LayerContext& layer) override {
    const std::uint64_t before = layer.run.sink.written_bytes();
    for (const Render& render : layer.renders)
      for (std::size_t i = 0; i < render.tensors.size(); ++i)
        layer.run.sink.write(render.tensors[i].name, render.bytes[i]);
    for (const std::string& name : layer.visit.kept) layer.run.sink.write(name, layer.bytes.bytes(name));
    layer.done.bytes_written = layer.run.sink.written_bytes() - before;
  }
};

}  // namespace

extern const PassType assemble{
    .name = "assemble",
    .summary = "writes encoded Linears and kept tensors into the planned shards",
    .version = 1,
    .reads = facts::source | facts::renders,
    .writes = facts::output,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<Assemble>(); },
};

}  // namespace strata::passes
