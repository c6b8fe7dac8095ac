#include "engine/sweep/sweep.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "cache/codec_choice.h"
#include "engine/device/torch_errors.h"

namespace strata {
namespace {

// One visit while it is computed.
struct OpenVisit {
  OpenVisit(RunContext& run, const Visit& visit, LayerWeights& weights, Moments& moments)
      : context{.run = run, .visit = visit, .weights = weights, .moments = moments, .done = done} {}

  Timer timer;
  LayerDone done;
  LayerContext context;
  std::uint64_t source_hash = 0;
  std::shared_ptr<PendingBoundary> leaving;
  std::optional<BoundaryKeeper> keeper;
};

class Sweep {
 public:
  Sweep(RunContext& run, const SweepPlan& plan, const SweepOptions& options, Reporter& reporter)
      : run_(run),
        options_(options),
        reporter_(reporter),
        weights_(run.memory),
        longest_(options.log.longest_seconds()) {
    std::vector<std::string_view> names;
    for (const PassType* type : plan.passes) {
      passes_.push_back(type->make());
      names.push_back(type->name);
    }
    if (plan.direction != Direction::forward)
      fail(Fault::bug, "{}: a sweep in direction {} cannot be run yet", fmt::join(names, ", "),
           direction_name(plan.direction));
    const auto begins = std::ranges::count_if(options.parts, &Part::first);
    reporter.pass_start({.name = fmt::format("{}", fmt::join(names, ", ")),
                         .layers = static_cast<int>(options.visits.size()),
                         .done = static_cast<int>(options.visits.size()) - static_cast<int>(begins)});
  }

  void run() {
    ReadAhead ahead(run_.model, options_.parts,
                    {.memory = run_.memory, .reader = options_.reader, .slots = options_.slots, .trace = run_.trace});
    for (std::size_t i = 0; i < options_.parts.size(); ++i) {
      check_interrupt(run_.stop);
      std::shared_ptr<const LoadedPart> part;
      {
        const StageTimes::Span waiting(&run_.times, Stage::wait_for_read);
        part = ahead.next();
      }
      if (part->part->first) begin(*part->part);
      compute(std::move(part));
      if (options_.parts[i].last) end(options_.parts[i]);
    }
    run_.writer.drain();
    run_.times.add(Stage::read, ahead.seconds_reading());
  }

 private:
  void begin(const Part& part) {
    const Visit& visit = *part.visit;
    require_time(visit);
    require_memory();
    open_.emplace(run_, visit, weights_, moments_);
    open_->done = {.index = static_cast<int>(part.visit_index),
                   .total = static_cast<int>(options_.visits.size()),
                   .name = visit.name,
                   .kind = visit.kind_name()};
    if (options_.encoded != nullptr) {
      open_->leaving = options_.log.keep_boundary(part.visit_index, codec_);
      if (open_->leaving) {
        open_->keeper.emplace(open_->done.index, open_->leaving, *options_.encoded, run_.writer, run_.times,
                              run_.trace);
        open_->context.keeper = &*open_->keeper;
      }
    }
    moments_.clear();
    for (const std::unique_ptr<Pass>& pass : passes_) pass->begin_layer(open_->context);
  }

  void compute(std::shared_ptr<const LoadedPart> part) {
    open_->done.bytes_read += part->bytes.loaded_bytes();
    open_->source_hash += part->hash;
    PartContext context{.layer = open_->context, .source = std::move(part)};
    for (const std::unique_ptr<Pass>& pass : passes_) pass->run(context);
    moments_.forget_columns();
  }

  void end(const Part& part) {
    for (const std::unique_ptr<Pass>& pass : passes_) pass->end_layer(open_->context);
    choose_next_codec(part);
    LayerDone& done = open_->done;
    VisitRecord record{.visit = part.visit_index,
                       .name = done.name,
                       .kind = done.kind,
                       .seconds = open_->timer.seconds(),
                       .key = options_.log.key(part.visit_index),
                       .source_hash = open_->source_hash,
                       .decisions = open_->context.decisions};
    {
      // The one before is committed before this one may wait for it: no more than most_uncommitted ever are not.
      const StageTimes::Span waiting(&run_.times, Stage::wait_for_write);
      run_.writer.wait(committing_);
    }
    committing_ =
        run_.writer.push([&run = run_, &log = options_.log, record = std::move(record), leaving = open_->leaving] {
          const Trace::Span span(run.trace, Track::write, "commit", {.layer = static_cast<int>(record.visit)});
          log.commit(record, run.sink, leaving.get());
        });
    done.seconds = open_->timer.seconds();
    done.resident = resident_bytes();
    double& longest = longest_[done.kind];
    longest = std::max(longest, done.seconds);
    reporter_.layer_done(done);
    for (const auto& [subject, text] : open_->context.decisions) reporter_.decision(subject, text);
    open_.reset();
  }

  // What leaves the first layer is the first that looks like all that follows.
  void choose_next_codec(const Part& part) {
    if (!open_->leaving || part.visit->kind != Visit::Kind::layer || codec_chosen_) return;
    codec_chosen_ = true;
    // Small boundaries are written in no time whatever their codec.
    constexpr std::size_t sample = 1u << 20, fewest = 1u << 16;
    const Lease room = run_.memory.take(codec_choice_memory, "choosing a codec");
    const std::vector<float> values = run_.boundary->first_values(sample);
    codec_ = values.size() < fewest ? FrameCodec::bf16 : options_.log.choose_codec(values, run_.threads).codec;
  }

  void require_time(const Visit& visit) const {
    if (options_.deadline <= 0) return;
    const auto known = longest_.find(visit.kind_name());
    const double expected = known == longest_.end() ? 0 : known->second;
    if (options_.since.seconds() + expected > options_.deadline)
      fail(Fault::resumable, "{}: would take about {:.0f} s, which ends after the --deadline of {:.0f} s", visit.name,
           expected, options_.deadline);
  }

  void require_memory() const {
    const std::uint64_t available = available_memory_bytes();
    if (available < options_.least_available)
      fail(Fault::budget,
           "memory: the machine has only {} left, less than {}; free some, and the same command goes on where this "
           "stopped",
           human_bytes(available), human_bytes(options_.least_available));
  }

  RunContext& run_;
  const SweepOptions& options_;
  Reporter& reporter_;
  std::vector<std::unique_ptr<Pass>> passes_;
  LayerWeights weights_;
  Moments moments_;
  std::optional<OpenVisit> open_;
  WriteBehind::Ticket committing_ = 0;
  std::map<std::string, double> longest_;  // seconds of a visit, by kind; of an earlier run too
  FrameCodec codec_ = FrameCodec::bf16;    // embeddings usually are
  bool codec_chosen_ = false;
};

}  // namespace

// Layers that are done count, whatever ended the run.
static void commit_what_is_done(WriteBehind& writer) {
  try {
    writer.drain();
  } catch (const std::exception&) {
    // The writer failed: that is what the caller's error says too, or what stopped the run came before.
  }
}

void sweep(RunContext& run, const SweepPlan& plan, const SweepOptions& options, Reporter& reporter) {
  try {
    with_torch_errors([&] { Sweep(run, plan, options, reporter).run(); });
  } catch (const Error& error) {
    commit_what_is_done(run.writer);
    if (error.fault == Fault::interrupted) fail(Fault::resumable, "{}", error.what());
    throw;
  } catch (...) {
    commit_what_is_done(run.writer);
    throw;
  }
}

}  // namespace strata
