#include "engine/sweep.h"

#include <fmt/ranges.h>

#include "base/memory.h"
#include "base/timer.h"

namespace strata {

void sweep(RunContext& run, std::span<const std::string_view> pass_names, Reporter& reporter) {
  std::vector<std::unique_ptr<Pass>> passes;
  for (const std::string_view name : pass_names) passes.push_back(pass_type(name).make());

  const std::vector<Visit> all = visits(run.model);
  reporter.pass_start({.name = fmt::format("{}", fmt::join(pass_names, ", ")), .layers = static_cast<int>(all.size())});
  LayerBytes bytes;
  LayerWeights weights;
  Moments moments;
  for (std::size_t i = 0; i < all.size(); ++i) {
    check_interrupt(run.stop);
    const Timer timer;
    bytes.load(run.model, all[i], Borrowed::leave_out);
    LayerDone done{.index = static_cast<int>(i),
                   .total = static_cast<int>(all.size()),
                   .name = all[i].name,
                   .kind = all[i].kind_name(),
                   .bytes_read = bytes.loaded_bytes()};
    LayerContext layer{.run = run, .visit = all[i], .bytes = bytes, .weights = weights, .moments = moments, .done = done};
    for (const std::unique_ptr<Pass>& pass : passes) pass->run(layer);
    done.seconds = timer.seconds();
    done.resident = resident_bytes();
    reporter.layer_done(done);
    for (const auto& [subject, text] : layer.decisions) reporter.decision(subject, text);
  }
}

}  // namespace strata
