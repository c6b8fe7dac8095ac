#include "engine/sweep/sweep.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/device/torch_errors.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/open_visit.h"

namespace strata {
namespace {

class Sweep {
 public:
  Sweep(const SweepOptions& options, const Tools& tools, FactBoard& board, Reporter& reporter)
      : options_(options), tools_(tools), board_(board), reporter_(reporter), states_(options, tools, board) {
    if (options.log != nullptr) longest_ = options.log->longest_seconds();
    for (const PassType* type : options.plan.passes) {
      passes_.push_back(type->make(tools.question, options.cut));
      desks_.emplace_back(*type, board_, place_, tools_, options_.output,
                          [this](const FactInfo& fact, std::size_t visit) {
                            return options_.log == nullptr ? nullptr : options_.log->found(fact, visit);
                          });
      names_.push_back(type->name);
    }
  }

  void run() {
    if (options_.plan.direction == Direction::none) return run_at_once();
    announce();
    ReadAhead ahead(
        options_.parts,
        {.memory = tools_.memory, .reader = options_.reader, .slots = options_.cut.slots, .trace = tools_.trace});
    for (std::size_t i = 0; i < options_.parts.size(); ++i) {
      check_interrupt(tools_.stop);
      std::shared_ptr<const LoadedPart> part;
      {
        const StageTimes::Span waiting(&tools_.times, Stage::wait_for_read);
        part = ahead.next();
      }
      const Part& here = options_.parts[i];
      if (!open_) begin(here);
      if (here.first) begin_model(here);
      compute(std::move(part));
      if (here.last) end_model();
      const bool over = i + 1 == options_.parts.size() || options_.parts[i + 1].visit_index != here.visit_index;
      if (over) end(here);
    }
    tools_.writer.drain();
    tools_.times.add(Stage::read, ahead.seconds_reading());
    keep_decided();
  }

 private:
  void announce() {
    std::size_t begun = 0;
    for (std::size_t i = 0; i < options_.parts.size(); ++i)
      if (i == 0 || options_.parts[i - 1].visit_index != options_.parts[i].visit_index) ++begun;
    reporter_.pass_start({.name = fmt::format("{}", fmt::join(names_, ", ")),
                          .layers = static_cast<int>(options_.visits),
                          .done = static_cast<int>(options_.visits - begun)});
  }

  void run_at_once() {
    place_.model = &tools_.question.model;
    reporter_.pass_start({.name = fmt::format("{}", fmt::join(names_, ", ")), .layers = 0});
    for (std::size_t i = 0; i < passes_.size(); ++i) passes_[i]->end(desks_[i]);
    for (const auto& [subject, text] : place_.decisions) reporter_.decision(subject, text);
    keep_decided();
  }

  // What later sweeps want of the whole model.
  void keep_decided() {
    if (options_.log == nullptr) return;
    for (const FactInfo* fact : options_.plan.keeps)
      if (fact->whole_model)
        if (const std::shared_ptr<void> value = board_.find(*fact))
          options_.log->keep_decided(*fact, fact->keeping->save(value.get()));
  }

  void begin(const Part& part) {
    const Visit& visit = *part.visit;
    require_time(visit);
    require_memory();
    open_.emplace();
    place_ = {};
    place_.done = {.index = static_cast<int>(part.visit_index),
                   .total = static_cast<int>(options_.visits),
                   .name = visit.name,
                   .kind = visit.kind_name()};
    open_->leaving = states_.begin(visit, part.visit_index);
  }

  // Whose part it is: those of two models may take turns.
  void go_to(const Part& part) {
    place_.model = part.model;
    place_.decode = states_.decode_of(*part.model);
    place_.visit = part.visit;
    place_.visit_index = part.visit_index;
  }

  void begin_model(const Part& part) {
    ++open_->models;
    go_to(part);
    for (const FactInfo* fact : options_.plan.finds)
      if (!fact->moves_on && !fact->whole_model) board_.put(*fact, options_.log->found(*fact, part.visit_index));
    for (std::size_t i = 0; i < passes_.size(); ++i) passes_[i]->begin(desks_[i]);
  }

  void compute(std::shared_ptr<const LoadedPart> part) {
    place_.done.bytes_read += part->bytes.loaded_bytes();
    // A head that is written comes a second time for logits: its visit has the bytes of the one that is written.
    if (part->part->kind != Part::Kind::logits || !options_.plan.writes(facts::output))
      open_->source_hash += part->hash;
    go_to(*part->part);
    place_.part = part->part;
    board_.put(facts::source, std::const_pointer_cast<LoadedPart>(std::move(part)));
    for (std::size_t i = 0; i < passes_.size(); ++i) passes_[i]->part(desks_[i]);
    place_.part = nullptr;
    board_.end(Life::part);
  }

  void end_model() {
    for (std::size_t i = 0; i < passes_.size(); ++i) passes_[i]->end(desks_[i]);
    for (const FactInfo* fact : options_.plan.keeps)
      if (!fact->moves_on && !fact->whole_model)
        if (const std::shared_ptr<void> value = board_.find(*fact))
          open_->facts.emplace_back(fact, fact->keeping->save(value.get()));
    if (--open_->models == 0) board_.end(Life::layer);  // the others still work with what is there
  }

  void end(const Part& part) {
    states_.end(*part.visit, open_->leaving);
    place_.done.seconds = open_->timer.seconds();
    if (options_.log != nullptr) commit(part);
    place_.done.seconds = open_->timer.seconds();
    place_.done.resident = resident_bytes();
    double& longest = longest_[place_.done.kind];
    longest = std::max(longest, place_.done.seconds);
    reporter_.layer_done(place_.done);
    for (const auto& [subject, text] : place_.decisions) reporter_.decision(subject, text);
    open_.reset();
  }

  void commit(const Part& part) {
    VisitRecord record{.visit = part.visit_index,
                       .name = place_.done.name,
                       .kind = place_.done.kind,
                       .seconds = place_.done.seconds,
                       .key = options_.log->key(part.visit_index),
                       .source_hash = open_->source_hash,
                       .decisions = place_.decisions};
    {
      // The one before is committed before this one may wait for it: no more than most_uncommitted ever are not.
      const StageTimes::Span waiting(&tools_.times, Stage::wait_for_write);
      tools_.writer.wait(committing_);
    }
    SweepLog::Results results{.sink = options_.plan.writes(facts::output) ? options_.output.sink : nullptr,
                              .states = std::move(open_->leaving),
                              .facts = std::move(open_->facts)};
    committing_ = tools_.writer.push(
        [trace = tools_.trace, log = options_.log, record = std::move(record), results = std::move(results)] {
          const Trace::Span span(trace, Track::write, "commit", {.layer = static_cast<int>(record.visit)});
          log->commit(record, results);
        });
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

  const SweepOptions& options_;
  const Tools& tools_;
  FactBoard& board_;
  Reporter& reporter_;
  SweepPlace place_;
  std::vector<std::unique_ptr<Pass>> passes_;
  std::vector<Desk> desks_;  // one a pass
  std::vector<std::string_view> names_;
  TravellingStates states_;
  std::optional<OpenVisit> open_;
  WriteBehind::Ticket committing_ = 0;
  std::map<std::string, double> longest_;  // seconds of a visit, by kind; of an earlier run too
};

// Layers that are done count, whatever ended the run.
void commit_what_is_done(WriteBehind& writer) {
  try {
    writer.drain();
  } catch (const std::exception&) {
    // The writer failed: that is what the caller's error says too, or what stopped the run came before.
  }
}

}  // namespace

void sweep(const SweepOptions& options, const Tools& tools, FactBoard& board, Reporter& reporter) {
  try {
    with_torch_errors([&] {
      Sweep one(options, tools, board, reporter);
      try {
        one.run();
      } catch (...) {
        commit_what_is_done(tools.writer);  // before what it works with is gone
        throw;
      }
    });
  } catch (const Error& error) {
    if (error.fault == Fault::interrupted && options.log != nullptr) fail(Fault::resumable, "{}", error.what());
    throw;
  }
}

}  // namespace strata
