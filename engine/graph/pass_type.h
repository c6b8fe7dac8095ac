// What is known of a pass without running it: enough to choose and order passes, to plan a run, to name its results and
// to print it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/graph/collect.h"
#include "engine/graph/cost.h"
#include "engine/graph/fact.h"
#include "engine/graph/pass_question.h"
#include "engine/graph/work.h"

namespace strata {

class Pass;
class Fingerprint;

// The order in which a pass wants to see the layers. none: it looks at the whole model at once; any: it takes part in
// every sweep that reads what it writes, whatever its way.
enum class Direction : std::uint8_t { forward, reverse, none, any };

std::string_view direction_name(Direction direction);  // "forward", "reverse", "none", "any"

// What of the head a pass makes logits with, as a Part::Kind::logits.
enum class HeadUse : std::uint8_t { none, whole, rows };  // rows: a slice of the vocabulary at a time

// What a part of a pass's result depends on beside its version, the source and what it reads.
struct KeyQuestion {
  const PassQuestion& pass;
  const Visit& visit;
  std::string_view layout = {};  // of the output: a hash; empty where none is laid out
};

struct PassType {
  std::string_view name;
  std::string_view summary;
  int version = 1;  // changes when its result changes; goes into fingerprints
  Direction direction = Direction::forward;
  FactList reads = {};  // facts that it cannot do without
  FactList uses = {};   // facts that it takes into account when a pass of its sweep writes them, or an earlier one kept
                        // them
  FactList writes = {};  // facts; one that it also reads, it advances
  // Whether a run wants it. nullptr: when a pass of the run reads what only this one writes.
  bool (*wanted)(const PassQuestion& question) = nullptr;
  // What the forward shall learn of a Linear's input for it. nullptr: nothing.
  Collect (*collects)(const PassQuestion& question, const LinearPlan& linear) = nullptr;
  // Adds what it takes while a sweep runs it. nullptr: nothing beyond a MiB.
  void (*cost)(const CostQuestion& question, CostSheet& sheet) = nullptr;
  // Adds what it does in a sweep, of which the time is estimated. nullptr: nothing that takes any.
  void (*work)(const WorkQuestion& question, WorkSheet& sheet) = nullptr;
  // Adds what of the request its result for a visit depends on, by name. nullptr: nothing.
  void (*key)(const KeyQuestion& question, Fingerprint& print) = nullptr;
  // How many sets of hidden states it advances side by side, where it writes a fact that moves on. nullptr: one.
  int (*lanes)(const PassQuestion& question) = nullptr;
  // Within which visit each of them starts, as MovingStates has it. nullptr: all are there from the first.
  std::vector<std::size_t> (*starts)(const PassQuestion& question) = nullptr;
  HeadUse logits = HeadUse::none;
  std::unique_ptr<Pass> (*make)(const PassQuestion& question, const Cut& cut) = nullptr;

  bool wants(const FactInfo& fact) const { return reads.contains(fact) || uses.contains(fact); }
  bool advances(const FactInfo& fact) const { return wants(fact) && writes.contains(fact); }
};

std::span<const PassType* const> pass_types();     // generated from engine/passes/*.cc
const PassType& pass_type(std::string_view name);  // Error{bug} when there is none

}  // namespace strata
