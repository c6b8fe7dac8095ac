// Writes encoded Linears and kept tensors to their planned places.
#include <algorithm>
#include <array>

#include "cache/fingerprint.h"
#include "engine/output/sink.h"
#include "engine/passes/cache_scales.h"
#include "engine/passes/coding_work.h"
#include "engine/plan/lost_weight.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"
#include "engine/sweep/render.h"
#include "formats/weight/weights.h"
#include "profiles/layer_questions.h"

namespace strata::passes {
namespace {

class Assemble final : public Pass {
 public:
  void part(Desk& desk) override {
    const Part& part = desk.part();
    if (part.kind == Part::Kind::logits) return;  // what is written of the head comes by itself
    const OutputPlan& output = *desk.output().plan;
    const Checkpoint& source = desk.model().checkpoint;
    const LayerBytes& stored = desk.get(facts::source).bytes;
    std::vector<OutputPiece> pieces;
    for (const Render& render : desk.get(facts::renders).renders)
      for (std::size_t i = 0; i < render.fields.size(); ++i)
        if (i != render.late)
          pieces.push_back({.slot = output.linears.at(render.linear->index) + i, .bytes = render.bytes[i]});
    for (const TensorInfo* tensor : part.kept) {
      const std::span<const std::byte> bytes = stored.bytes(*tensor);
      warn_of_broken_values(desk, *tensor, bytes);
      pieces.push_back({.slot = output.slot_of(source, *tensor), .bytes = bytes});
    }
    if (part.kind == Part::Kind::copy) {
      const TensorPiece& piece = part.pieces.front();
      const std::span<const std::byte> bytes = stored.pieces().front();
      warn_of_broken_values(desk, *piece.tensor, bytes);
      pieces.push_back({.slot = output.slot_of(source, *piece.tensor), .skip = piece.skip, .bytes = bytes});
    }
    // The writer keeps what the bytes lie in for as long as it needs them.
    write(desk, std::move(pieces), [source = desk.share(facts::source), renders = desk.share(facts::renders)] {});
  }

  void end(Desk& desk) override {
    const OutputPlan& output = *desk.output().plan;
    const auto tensors = std::make_shared<std::vector<OutputTensor>>();
    if (const auto* const late = desk.find(facts::layer_tensors)) *tensors = *late;
    std::vector<OutputPiece> pieces;
    for (const OutputTensor& tensor : *tensors)
      pieces.push_back({.slot = output.linears.at(tensor.linear->index) + tensor.field, .bytes = tensor.bytes});
    const auto scales = std::make_shared<std::array<float, 2>>();
    const AttentionSpec* const attention = desk.visit().layer == nullptr ? nullptr : attention_of(*desk.visit().layer);
    if (attention != nullptr && desk.get(facts::assignment).kv_cache_fp8) {
      *scales = cache_scales(*attention, *desk.find(facts::moments));
      const std::size_t first = output.visits.at(desk.visit_index()).cache_scales;
      for (std::size_t i = 0; i < scales->size(); ++i)
        pieces.push_back({.slot = first + i, .bytes = std::as_bytes(std::span(&(*scales)[i], 1))});
    }
    if (!pieces.empty()) write(desk, std::move(pieces), [tensors, scales] {});
  }

 private:
  static void write(Desk& desk, std::vector<OutputPiece> pieces, std::function<void()> owner) {
    std::uint64_t bytes = 0;
    for (const OutputPiece& piece : pieces) bytes += piece.bytes.size();
    desk.done().bytes_written += bytes;
    const StageTimes::Span waiting(&desk.tools().times, Stage::wait_for_write);
    desk.tools().writer.push([trace = desk.tools().trace, &sink = *desk.output().sink, &name = desk.visit().name,
                              index = desk.done().index, bytes, pieces = std::move(pieces), owner = std::move(owner)] {
      const Trace::Span span(trace, Track::write, name, {.layer = index, .bytes = bytes});
      sink.write(pieces);
    });
  }

  // Norms and embeddings are copied whatever they hold, but a model with NaN in one answers nothing else.
  static void warn_of_broken_values(Desk& desk, const TensorInfo& tensor, std::span<const std::byte> bytes) {
    if (!all_finite(tensor.dtype, bytes)) desk.decide(tensor.name, kept_broken);
  }
};

Collect collects(const PassQuestion& question, const LinearPlan& /*linear*/) {
  return question.request.assignment.kv_cache_fp8 ? Collect::cache : Collect::nothing;
}

void key(const KeyQuestion& question, Fingerprint& print) {
  print.add("--kv-cache", question.pass.request.assignment.kv_cache_fp8 ? "fp8" : "none");
  print.add("layout", question.layout);
}

}  // namespace

extern const PassType assemble{
    .name = "assemble",
    .summary = "writes encoded Linears and kept tensors into the planned shards",
    .version = 1,
    .reads = {&facts::source, &facts::renders, &facts::assignment},
    .uses = {&facts::moments, &facts::layer_tensors},  // moments: scales of the cache of keys and values
    .writes = {&facts::output},
    .wanted = [](const PassQuestion&) { return true; },
    .collects = collects,
    .cost = [](const CostQuestion&, CostSheet& sheet) { sheet.add(Resource::host, "files", ShardSink::memory_bytes); },
    .work = assemble_work,
    .key = key,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Assemble>(); },
};

}  // namespace strata::passes
