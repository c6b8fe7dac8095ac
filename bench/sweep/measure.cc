#include "bench/sweep/measure.h"

#include <fmt/core.h>

#include <fstream>
#include <limits>
#include <optional>

#include "base/memory.h"
#include "base/timer.h"
#include "bench/sweep/held_reader.h"
#include "bench/sweep/transfer.h"
#include "engine/output/output_folder.h"
#include "engine/run/calibration.h"
#include "engine/run/prepare.h"
#include "engine/sweep/stream.h"
#include "engine/work/sweep_log.h"
#include "engine/work/work_place.h"

namespace strata::bench {
namespace {

// A number of /proc/self/io; 0 where the kernel does not count.
std::uint64_t moved(std::string_view key) {
  std::ifstream file("/proc/self/io");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()));
  return 0;
}

// The weight error shows that `compute` encodes values like those of `whole`.
class Listener final : public Reporter {
 public:
  void layer_done(const LayerDone& done) override {
    if (done.weight_error <= 0) return;
    errors_ += done.weight_error;
    ++layers_;
  }
  void run_end(const RunEnd& end) override {
    for (const auto& [key, value] : end.facts)
      if (key == "time") time = value;
  }
  std::string weight_error() const { return fmt::format("weight error {:.4f}", layers_ > 0 ? errors_ / layers_ : 0.0); }

  std::string time;

 private:
  double errors_ = 0;
  int layers_ = 0;
};

Measured plan(const QuantizeRequest& options) {
  const PlanSummary summary = plan_quantize(options);
  return {.planned_peak = summary.peak_memory,
          .note = fmt::format("{} threads, hidden states {}", summary.threads,
                              summary.states_in_memory ? "in memory" : "in a file")};
}

Measured whole(const QuantizeRequest& options) {
  Listener listener;
  const Timer timer;
  quantize(options, listener);
  const double seconds = timer.seconds();
  return {.seconds = seconds, .note = fmt::format("{}; {}", listener.time, listener.weight_error())};
}

// quantize() as far as it computes: everything from opening the model to the last layer, in the same order, slots,
// threads and memory. Left out are: reading (HeldReader), the output (no pass assembles it, so that nothing waits for a
// writer, and there are no shards), the files of hidden states with their encoding, the choice of their codec and of
// a reader. Left in are: hashing what the slots hold, moving tensors that lie at odd places, a journal record a layer.
Measured compute(const QuantizeRequest& options) {
  const Timer timer;
  const ComputeSession session(options.machine.device, options.machine.threads);
  RunPlan plan = prepare(options, session);
  require_fit(summarize(plan, options), options);
  const FileLock lock = lock_work_directory(options.places.work_directory);
  const std::optional<TokenRows> tokens =
      plan.learns ? std::optional(calibration_tokens(options.calibration, plan.model)) : std::nullopt;
  RunKeys keys(plan, options, tokens ? &*tokens : nullptr);
  keys.add_sweeps(plan, options, 0, plan.sweeps.size());
  Budget disk("disk", std::numeric_limits<std::uint64_t>::max());
  RunLog log(keys, {.places = options.places, .disk = disk, .keep_states = false});
  std::erase(plan.sweeps.front().passes.passes, &pass_type("assemble"));
  SweepLog& sweep = log.open_sweep(plan, 0);
  Budget memory("memory", plan.memory_limit);
  const Lease base = memory.take(plan.sweeps.front().cut.memory.base, "the program itself");
  sweep.begin();
  HeldReader reader(plan.model.checkpoint);
  StageTimes times;
  Listener listener;
  {
    Stream stream(plan, options, {.tokens = tokens ? &*tokens : nullptr, .timer = timer, .reader = &reader},
                  {.memory = memory, .times = times, .reporter = listener});
    stream.run(0, sweep, {});
    stream.finish();
  }
  const double seconds = timer.seconds();
  log.finish();
  return {.seconds = seconds,
          .note = fmt::format("{}; {}; {:.2f} GB read to fill slots", times.text(), listener.weight_error(),
                              static_cast<double>(reader.bytes_read()) / 1e9)};
}

// What a run reads and writes, as fast as the disk and the same parts of the engine make it.
Measured transfer(const QuantizeRequest& options) {
  const ComputeSession session(options.machine.device, options.machine.threads);
  RunPlan plan = prepare(options, session);
  require_fit(summarize(plan, options), options);
  const FileLock lock = lock_work_directory(options.places.work_directory);
  const std::optional<TokenRows> tokens =
      plan.learns ? std::optional(calibration_tokens(options.calibration, plan.model)) : std::nullopt;
  RunKeys keys(plan, options, tokens ? &*tokens : nullptr);
  keys.add_sweeps(plan, options, 0, plan.sweeps.size());
  Budget disk("disk", std::numeric_limits<std::uint64_t>::max());
  RunLog log(keys, {.places = options.places, .disk = disk});
  SweepLog& sweep = log.open_sweep(plan, 0);
  sweep.begin();
  Transfer work(plan, options, sweep);
  const Timer timer;
  work.run();
  const double seconds = timer.seconds();
  log.finish();
  return {.seconds = seconds, .note = work.note()};
}

Measured dispatch(Subject subject, const QuantizeRequest& options) {
  switch (subject) {
    case Subject::plan:
      return plan(options);
    case Subject::whole:
      return whole(options);
    case Subject::compute:
      return compute(options);
    case Subject::transfer:
      return transfer(options);
  }
  return {};
}

}  // namespace

Measured measure(Subject subject, const QuantizeRequest& options) {
  Measured measured = dispatch(subject, options);
  measured.peak = peak_resident_bytes();
  measured.read = moved("read_bytes: ");
  measured.written = moved("write_bytes: ");
  return measured;
}

}  // namespace strata::bench
