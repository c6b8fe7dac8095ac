#include "engine/sweep/boundary_keeper.h"

namespace strata {

std::uint64_t EncodedBlocks::memory(const BoundaryShape& shape, int threads, std::size_t lanes) {
  const auto computed = static_cast<std::uint64_t>(threads);
  return (computed * lanes + 1) * encoded_block_bound(shape) + 2 * computed * frame_workspace_bytes;
}

EncodedBlocks::EncodedBlocks(const BoundaryShape& shape, int threads, std::size_t lanes, Budget& memory)
    : lease_(memory.take(EncodedBlocks::memory(shape, threads, lanes), "encoded hidden states")) {
  for (std::size_t i = 0; i <= static_cast<std::size_t>(threads) * lanes; ++i)
    blocks_.add(std::make_unique<EncodedBlock>());
}

Finish BoundaryKeeper::keep(std::int64_t block, std::span<const float> values) {
  std::shared_ptr<EncodedBlock> encoded = blocks_.take();
  {
    const Trace::Span span(trace_, Track::compress, "block", {.layer = visit_, .bytes = values.size_bytes()});
    const StageTimes::Span time(&times_, Stage::compress);
    file_->writer().encode(block, values, *encoded);
  }
  return [this, encoded = std::move(encoded)] {
    writer_.push([file = file_, encoded, trace = trace_, visit = visit_] {
      const Trace::Span span(trace, Track::write, "hidden states", {.layer = visit, .bytes = encoded->bytes});
      file->writer().append(*encoded);
    });
  };
}

}  // namespace strata
