// What the results of a run are computed from, visit by visit: the names under which they may be used again.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/graph/run_plan.h"
#include "engine/plan/request.h"
#include "formats/text/dataset.h"

namespace strata {

// Of one sweep.
struct SweepKeys {
  std::vector<Fingerprint> steps;  // of all that a visit gives, by visit
  // Of facts. One that moves on: of what enters each visit, by visit, and at the end of what leaves the last one in the
  // order of the sweep. One of the whole model: one. Any other: by visit.
  std::map<const FactInfo*, std::vector<Fingerprint>> facts;

  const std::vector<Fingerprint>& of(const FactInfo& fact) const { return facts.at(&fact); }
};

// Parts of a visit's fingerprint that say what it reads.
namespace source_keys {
inline constexpr std::string_view files = "source", tensors = "tensors", lanes = "models side by side",
                                  left_out = "not read";
}

// What keys depend on beside a plan, its request and its tokens.
struct KeysBeside {
  std::string lanes = {};      // of hidden states, where those of other models travel along
  std::string held_out = {};   // hash of the tokens that the result is measured on
  std::string selection = {};  // of those that budgets are compared on
};

// Nothing in them depends on memory, threads, reading, tracing or logging.
class RunKeys {
 public:
  // `tokens` is nullptr without data. Reads a sample of every shard.
  RunKeys(const RunPlan& plan, const QuantizeRequest& request, const TokenRows* tokens, KeysBeside beside = {});

  Fingerprint run;                 // of the whole, part by part, for people
  std::vector<std::string> names;  // of the visits

  // The keys of the sweeps from `first` to `end`, in order; those before them are known. A sweep whose passes want the
  // assignment has keys once that is decided.
  void add_sweeps(const RunPlan& plan, const QuantizeRequest& request, std::size_t first, std::size_t end);
  const SweepKeys& sweep(std::size_t index) const { return sweeps_.at(index); }
  // Of the last of the known sweeps before `sweep` that kept the fact.
  const std::vector<Fingerprint>& found(const FactInfo& fact, std::size_t sweep) const;

 private:
  // What is read for a visit: where it stands, in which files.
  struct VisitSource {
    std::string tensors, files;
  };
  class SweepBuilder;

  std::string config_, layout_, tokens_, held_out_, selection_, lanes_;
  std::vector<VisitSource> sources_;
  std::vector<SweepKeys> sweeps_;
};

}  // namespace strata
