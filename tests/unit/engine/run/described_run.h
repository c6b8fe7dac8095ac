// Runs the engine on a model whose spec the test changes: families that are not there yet.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "engine/device/compute.h"
#include "engine/eval/forward_run.h"
#include "engine/run/carry_out.h"
#include "engine/run/prepare.h"
#include "profiles/claims.h"
#include "profiles/profile.h"
#include "profiles/source_storage.h"
#include "tests/unit/engine/run/whole_run.h"

namespace strata::test {

using ChangeSpec = std::function<void(ModelSpec&)>;

// As open_model(), with what `change` makes of the spec that the family gives. `described`: another folder,
// whose checkpoint the family describes; empty for the same.
inline OpenModel open_described(const std::string& directory, const ChangeSpec& change,
                                const std::string& described = "") {
  Checkpoint checkpoint = Checkpoint::open(directory);
  const Checkpoint model = Checkpoint::open(described.empty() ? directory : described);
  ModelSpec spec = describe_model(require_profile(model.config()), model);
  change(spec);
  number_linears(spec);
  SourceStorage storage = find_storage(checkpoint, spec);
  const Claims claims = claim_tensors(
      spec, checkpoint,
      {.format = [&](std::string_view module) { return storage.stored.format_of(module); }, .native = storage.native});
  require_no_problems(claims, checkpoint);
  return OpenModel(std::move(checkpoint), std::move(storage.stored), std::move(spec), storage.native, claims.dropped);
}

// quantize() from there on: Error{resumable} when the watcher stops it, and then the same call goes on.
inline void quantize_described(OpenModel model, QuantizeRequest request, Watcher& watcher) {
  request.stop = &watcher.stop;
  const ComputeSession session("cpu", request.machine.threads);
  make_directory(request.places.work_directory);
  RunPlan plan = plan_run(std::move(model), request, session.threads());
  plan.memory_limit = std::max(plan.memory_limit, plan.peak_memory());  // the smallest cut where a byte is allowed
  carry_out(std::move(plan), request, Timer(), watcher);
}

// Of all positions of a token file, in order.
inline std::vector<float> logits_of(const OpenModel& model, const std::string& ids) {
  const ComputeSession session("cpu", run_threads(2));
  const TokenRows tokens = read_token_file(ids);
  struct Keeper final : LogitsReader {
    explicit Keeper(std::size_t positions, std::int64_t columns)
        : vocabulary(columns), all(positions * static_cast<std::size_t>(columns)) {}
    void read(const LogitsPiece& piece) override {
      for (std::int64_t row = 0; row < piece.count; ++row)
        std::ranges::copy(piece.lanes[0].subspan(static_cast<std::size_t>(row * piece.columns),
                                                 static_cast<std::size_t>(piece.columns)),
                          all.begin() + (piece.first + row) * vocabulary + piece.column);
    }
    std::int64_t vocabulary;
    std::vector<float> all;
  } keeper(tokens.ids.size(), model.spec->vocabulary);
  const std::array<LaneSpec, 1> lanes = {LaneSpec{.model = &model}};
  Reporter silent;
  run_forward({.lanes = lanes, .tokens = tokens, .threads = session.threads()}, keeper, silent);
  return keeper.all;
}

}  // namespace strata::test
