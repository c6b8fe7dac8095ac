#include "engine/work/run_keys.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/option_text.h"
#include "cache/source_identity.h"
#include "engine/device/compute.h"
#include "engine/graph/facts.h"
#include "engine/plan/part.h"
#include "engine/plan/request_options.h"
#include "engine/work/format_keys.h"

namespace strata {
namespace {

using Passes = std::vector<const PassType*>;

std::string hash_of(std::string_view text) { return Hasher().add(text).hex(); }

std::string versions_text(const Passes& passes) {
  std::string text;
  for (const PassType* pass : passes)
    if (!pass->writes.empty()) text += fmt::format("{} {} ", pass->name, pass->version);  // others change nothing
  return text;
}

std::string layout_of(const OutputPlan& plan) {
  Hasher hasher;
  for (const OutputShard& shard : plan.shards) hasher.add(shard.file).add(shard.header);
  return hasher.hex();
}

Passes all_passes(const RunPlan& plan) {
  Passes passes;
  for (const PlannedSweep& sweep : plan.sweeps)
    passes.insert(passes.end(), sweep.passes.passes.begin(), sweep.passes.passes.end());
  return passes;
}

// Of a sweep, the passes that decide about what `last` writes: itself, and those whose facts these want.
Passes behind(const SweepPlan& sweep, const PassType& last) {
  Passes needed = {&last};
  for (std::size_t i = 0; i < needed.size(); ++i)
    for (const PassType* other : sweep.passes)
      for (const FactInfo* fact : other->writes)
        if (needed[i]->wants(*fact) && !fact->moves_on && std::ranges::find(needed, other) == needed.end())
          needed.push_back(other);
  Passes ordered;
  for (const PassType* pass : sweep.passes)
    if (std::ranges::find(needed, pass) != needed.end()) ordered.push_back(pass);
  return ordered;
}

bool wants_states(const Passes& passes) {
  return std::ranges::any_of(passes, [](const PassType* pass) {
    return std::ranges::any_of(pass->reads, [](const FactInfo* fact) { return fact->moves_on; });
  });
}

std::string collected(const RunPlan& plan, const Visit& visit) {
  std::string text;
  for (const LinearSpec* linear : visit.linears)
    text += std::to_string(plan.collects.empty() ? 0 : static_cast<int>(plan.collects.at(linear->index)));
  return hash_of(text);
}

}  // namespace

RunKeys::RunKeys(const RunPlan& plan, const QuantizeRequest& request, const TokenRows* tokens, KeysBeside beside)
    : config_(hash_of(plan.model.checkpoint.config_text())),
      tokens_(tokens == nullptr ? "none" : tokens->hash),
      held_out_(std::move(beside.held_out)),
      selection_(std::move(beside.selection)),
      lanes_(std::move(beside.lanes)) {
  const std::vector<std::pair<std::string, std::string>> shards = source_identities(plan.model.checkpoint);
  for (const auto& [name, identity] : shards) run.add(name, identity);
  run.add("config.json", config_);
  for (const std::string& name : plan.model.checkpoint.sidecars())
    run.add("file " + name, content_hash(InputFile(join_path(plan.model.checkpoint.directory(), name))));
  for (const RequestOption& option : request_options())
    if (option.in_keys == InKeys::yes || (option.in_keys == InKeys::with_data && tokens != nullptr))
      run.add(spoken_name(option.names), option.text(request));
  if (plan.output) run.add("formats", formats_text(*plan.output));
  if (plan.assignment) run.add("assignment", assignment_key(*plan.assignment, plan.model));
  const RoundingMethod& method = require_rounding_method(request.rounding.method_name());
  run.add("--method", fmt::format("{} {}", method.name, method.version));
  if (plan.assignment) run.add("scales", rule_name(plan.assignment->rule));
  if (plan.output)
    run.add("layout", layout_of(*plan.output));
  else  // what decides it, as far as that is known
    run.add("--shard-size", std::to_string(request.places.shard_size));
  if (plan.output) run.add("config of the output", hash_of(plan.output->config_json));
  run.add("device", device_kind(request.machine.device));
  run.add("passes", versions_text(all_passes(plan)));
  if (tokens != nullptr) run.add("libtorch", libtorch_arithmetic());
  run.add("calibration tokens", tokens_);
  if (!held_out_.empty()) run.add("held-out tokens", held_out_);
  if (!selection_.empty()) run.add("tokens to choose by", selection_);
  if (!lanes_.empty()) run.add(source_keys::lanes, lanes_);

  for (const Visit& visit : plan.model.visits) {
    names.push_back(visit.name);
    Hasher tensors;
    std::set<int> files;
    for (const TensorPiece& piece : stored_pieces(plan.model, visit.linears, visit.kept)) {
      const TensorInfo& t = *piece.tensor;
      tensors.add(fmt::format("{} {} {} {} {} {};", t.name, dtype_name(t.dtype), fmt::join(t.shape, ","), t.file,
                              t.offset, t.bytes));
      files.insert(t.file);
    }
    VisitSource& source = sources_.emplace_back();
    source.tensors = tensors.hex();
    for (const int file : files) {
      const auto& [name, identity] = shards[static_cast<std::size_t>(file)];
      source.files.append(name).append(": ").append(identity).append("; ");
    }
  }
}

// The keys of one sweep.
class RunKeys::SweepBuilder {
 public:
  SweepBuilder(const RunKeys& run, const RunPlan& plan, const QuantizeRequest& request, std::size_t index)
      : run_(run),
        plan_(plan),
        question_(plan.question(request)),
        device_(device_kind(request.machine.device)),
        index_(index),
        sweep_(plan.sweeps[index].passes),
        visits_(plan.model.visits.size()) {}

  SweepKeys build() {
    for (const FactInfo* fact : advanced()) move(*fact);
    if (sweep_.direction != Direction::none)
      for (std::size_t visit = 0; visit < visits_; ++visit) keys_.steps.push_back(print(sweep_.passes, visit));
    for (const PassType* pass : sweep_.passes)
      for (const FactInfo* fact : pass->writes)
        if (fact->kept() && !fact->moves_on) keep(*pass, *fact);
    return std::move(keys_);
  }

 private:
  std::vector<const FactInfo*> advanced() const {
    std::vector<const FactInfo*> facts;
    for (const PassType* pass : sweep_.passes)
      for (const FactInfo* fact : pass->writes)
        if (fact->moves_on) facts.push_back(fact);
    return facts;
  }

  std::size_t visit_at(std::size_t place) const {
    return sweep_.direction == Direction::reverse ? visits_ - 1 - place : place;
  }

  const std::string& tokens_of(Windows windows) const {
    if (windows == Windows::selection) return run_.selection_;
    return windows == Windows::held_out ? run_.held_out_ : run_.tokens_;
  }

  // What enters each visit, one after the other.
  void move(const FactInfo& fact) {
    const Passes passes = behind(sweep_, *sweep_.advancer(fact));
    std::vector<Fingerprint>& entering = keys_.facts[&fact];
    entering.resize(visits_ + 1);
    Fingerprint before;
    before.add("tokens", tokens_of(fact.windows));
    if (!run_.lanes_.empty()) before.add(source_keys::lanes, run_.lanes_);
    if (&fact != &facts::boundary) before.add("states", fact.name);
    for (std::size_t place = 0; place < visits_; ++place) {
      const std::size_t visit = visit_at(place);
      entering[visit] = before;
      if (plan_.model.visits[visit].kind == Visit::Kind::section) continue;  // hidden states pass it by
      before = print(passes, visit);
    }
    entering[visits_] = before;
  }

  // Of what some passes of the sweep make of a visit.
  Fingerprint print(const Passes& passes, std::size_t visit) const {
    Fingerprint print;
    print.add("config.json", run_.config_);
    print.add(source_keys::files, run_.sources_[visit].files);
    print.add(source_keys::tensors, run_.sources_[visit].tensors);
    if (!plan_.stored.empty()) print.add(source_keys::left_out, left_out(visit));
    for (const PassType* pass : passes)
      if (pass->key != nullptr)
        pass->key({.pass = question_, .visit = plan_.model.visits[visit], .layout = run_.layout_}, print);
    print.add("passes", versions_text(passes));
    print.add("device", device_);
    if (!run_.lanes_.empty()) print.add(source_keys::lanes, run_.lanes_);
    if (wants_states(passes)) {
      print.add("libtorch", libtorch_arithmetic());  // what is encoded without data is the same on every machine
      add_states(passes, visit, print);
    }
    add_found(passes, visit, print);
    return print;
  }

  // Linears of a visit whose encodings another run has kept, so that they are not read.
  std::string left_out(std::size_t visit) const {
    Hasher modules;
    for (const LinearSpec* linear : plan_.model.visits[visit].linears)
      if (question_.is_stored(*linear)) modules.add(linear->module).add(" ");
    return modules.hex();
  }

  void add_states(const Passes& passes, std::size_t visit, Fingerprint& print) const {
    for (const FactInfo* fact : advanced())
      if (std::ranges::any_of(passes, [&](const PassType* pass) { return pass->wants(*fact); }))
        print.add(fact == &facts::boundary ? "hidden states" : fact->name, keys_.of(*fact)[visit].hash());
  }

  // What earlier sweeps kept, and what was decided since.
  void add_found(const Passes& passes, std::size_t visit, Fingerprint& print) const {
    for (const FactInfo* fact : sweep_.finds) {
      if (std::ranges::none_of(passes, [&](const PassType* pass) { return pass->wants(*fact); })) continue;
      const std::vector<Fingerprint>& known = run_.found(*fact, index_);
      print.add(fmt::format("kept {}", fact->name), known[fact->whole_model ? 0 : visit].hash());
    }
  }

  void keep(const PassType& pass, const FactInfo& fact) {
    const Passes passes = behind(sweep_, pass);
    std::vector<Fingerprint>& mine = keys_.facts[&fact];
    if (!fact.whole_model) {
      for (std::size_t visit = 0; visit < visits_; ++visit) {
        mine.push_back(print(passes, visit));
        mine.back().add("collected", collected(plan_, plan_.model.visits[visit]));
        mine.back().add("fact", fact.name);
      }
      return;
    }
    Hasher all;
    for (std::size_t visit = 0; visit < visits_; ++visit)
      all.add(print(passes, visit).hash()).add(collected(plan_, plan_.model.visits[visit]));
    mine.emplace_back().add("visits", all.hex());
    mine.back().add("fact", fact.name);
  }

  const RunKeys& run_;
  const RunPlan& plan_;
  const PassQuestion question_;
  const std::string device_;
  const std::size_t index_;
  const SweepPlan& sweep_;
  const std::size_t visits_;
  SweepKeys keys_;
};

void RunKeys::add_sweeps(const RunPlan& plan, const QuantizeRequest& request, std::size_t first, std::size_t end) {
  if (first != sweeps_.size()) fail(Fault::bug, "keys of sweep {} come after those of {}", first, sweeps_.size());
  if (plan.output) layout_ = layout_of(*plan.output);
  for (std::size_t i = first; i < end; ++i) sweeps_.push_back(SweepBuilder(*this, plan, request, i).build());
}

const std::vector<Fingerprint>& RunKeys::found(const FactInfo& fact, std::size_t sweep) const {
  for (std::size_t i = sweep; i-- > 0;)
    if (const auto known = sweeps_.at(i).facts.find(&fact); known != sweeps_[i].facts.end()) return known->second;
  fail(Fault::bug, "sweep {} finds {}, which none before it kept", sweep + 1, fact.name);
}

}  // namespace strata
