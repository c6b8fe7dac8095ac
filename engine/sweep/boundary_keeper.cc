#include "engine/sweep/boundary_keeper.h"

namespace strata {

std::uint64_t EncodedBlocks::memory(const BoundaryShape& shape, int threads) {
  const auto count = static_cast<std::uint64_t>(threads) + 1;
  return count * encoded_block_bound(shape) + 2 * static_cast<std::uint64_t>(threads) * frame_workspace_bytes;
}

EncodedBlocks::EncodedBlocks(const BoundaryShape& shape, int threads, Budget& memory)
    : lease_(memory.take(EncodedBlocks::memory(shape, threads), "encoded hidden states")) {
  for (int i = 0; i <= threads; ++i) blocks_.add(std::make_unique<EncodedBlock>());
}

Finish BoundaryKeeper::keep(std::int64_t block, std::span<const float> values) {
  std::shared_ptr<EncodedBlock> encoded = blocks_.take();
  {
    const Trace::Span span(trace_, Track::compress, "block", {.layer = layer_, .bytes = values.size_bytes()});
    const StageTimes::Span time(&times_, Stage::compress);
    file_->writer().encode(block, values, *encoded);
  }
  return [this, encoded = std::move(encoded)] {
    writer_.push([file = file_, encoded, trace = trace_, layer = layer_] {
      const Trace::Span span(trace, Track::write, "hidden states", {.layer = layer, .bytes = encoded->bytes});
      file->writer().append(*encoded);
    });
  };
}

}  // namespace strata
