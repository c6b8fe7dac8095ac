// What a pass works with: the facts that it declared, the place where the sweep stands, and the tools of the run.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/reporter.h"
#include "base/stage_times.h"
#include "base/trace.h"
#include "engine/device/device.h"
#include "engine/graph/board.h"
#include "engine/graph/facts.h"
#include "engine/graph/pass_type.h"
#include "engine/measure/measured_windows.h"
#include "engine/output/write_behind.h"
#include "engine/sweep/lanes.h"
#include "formats/text/dataset.h"

namespace strata {

class ShardSink;
struct OutputPlan;

// What a run shares over all its layers. Everything outlives the passes.
struct Tools {
  const PassQuestion& question;
  Budget& memory;   // of the host
  Device device;    // that computes
  int threads = 1;  // that compute
  WriteBehind& writer;
  StageTimes& times;
  const TokenRows* tokens = nullptr;           // calibration windows; nullptr without data
  const MeasuredWindows* held_out = nullptr;   // what the result is measured on; nullptr where it is not
  const MeasuredWindows* selection = nullptr;  // what budgets are compared on; likewise
  std::vector<Collect> collects = {};          // of each Linear, by LinearSpec::index: what the passes of the run want
  std::function<Boundary(const BoundaryShape&)> more_states = {};  // room for hidden states
  // What a fact of a visit is computed from: a hash. Of this sweep, or of the last one before that keeps it.
  std::function<std::string(const FactInfo&, std::size_t visit)> key_of = {};
  std::span<const FactInfo* const> keeps = {};  // what a later sweep wants of this one
  const StopFlag* stop = nullptr;
  Trace* trace = nullptr;
};

// Where the output goes, once it is laid out.
struct OutputTools {
  const OutputPlan* plan = nullptr;
  ShardSink* sink = nullptr;  // used by the writer's thread
};

using Decision = std::pair<std::string, std::string>;  // subject, text: what the user should know

// Where the sweep stands, and what is said of the visit.
struct SweepPlace {
  const OpenModel* model = nullptr;  // whose visit it is
  DecodeAs decode = DecodeAs::f32;   // its weights
  const Visit* visit = nullptr;      // nullptr in a sweep without layers
  std::size_t visit_index = 0;       // among all visits of the model
  const Part* part = nullptr;        // nullptr between parts
  LayerDone done = {};
  std::vector<Decision> decisions = {};
};

// Handed to one pass; facts that it did not declare are Error{bug}. What it keeps between calls are its members. Not
// thread-safe, but for tools().
class Desk {
 public:
  // What an earlier sweep kept of a fact for a visit; nullptr when there is none.
  using Kept = std::function<std::shared_ptr<void>(const FactInfo& fact, std::size_t visit)>;

  Desk(const PassType& pass, FactBoard& board, SweepPlace& place, const Tools& tools, const OutputTools& output,
       Kept kept)
      : pass_(pass), board_(board), place_(place), tools_(tools), output_(output), kept_(std::move(kept)) {}

  // Of a fact that it reads, uses or writes. Error{bug} when nobody has made it yet.
  template <class T>
  const T& get(const Fact<T>& fact) const {
    return *static_cast<const T*>(require(fact).get());
  }

  // nullptr when no pass of the run makes it.
  template <class T>
  const T* find(const Fact<T>& fact) const {
    return static_cast<const T*>(look_up(fact).get());
  }

  // For those who want it longer than it lives: the writer, a pass that holds a part.
  template <class T>
  std::shared_ptr<const T> share(const Fact<T>& fact) const {
    return std::static_pointer_cast<const T>(require(fact));
  }

  // Of a fact that it writes: what is there, else a new one.
  template <class T, class... Arguments>
  T& make(const Fact<T>& fact, Arguments&&... arguments) {
    require_written(fact);
    if (std::shared_ptr<void> there = board_.find(fact)) return *static_cast<T*>(there.get());
    auto made = std::make_shared<T>(std::forward<Arguments>(arguments)...);
    board_.put(fact, made);
    return *made;
  }

  // The same with one of its own, which it may use again.
  template <class T>
  void put(const Fact<T>& fact, std::shared_ptr<T> value) {
    require_written(fact);
    board_.put(fact, std::move(value));
  }

  // Of a fact that moves on, and that it advances.
  template <class T>
  T& advance(const Fact<T>& fact) {
    require_written(fact);
    return *static_cast<T*>(require(fact).get());
  }

  // What an earlier sweep kept of the fact for any visit: for passes that look at the whole model.
  template <class T>
  std::shared_ptr<const T> of_visit(const Fact<T>& fact, std::size_t visit) const {
    require_declared(fact);
    return std::static_pointer_cast<const T>(kept_(fact, visit));
  }

  const OpenModel& model() const { return *place_.model; }
  DecodeAs decode_as() const { return place_.decode; }
  const Visit& visit() const { return *place_.visit; }
  std::size_t visit_index() const { return place_.visit_index; }
  const Part& part() const { return *place_.part; }

  const Tools& tools() const { return tools_; }
  const OutputTools& output() const;  // of a pass that writes facts::output

  // What the run wants to learn of a Linear's input.
  Collect collects(const LinearSpec& linear) const {
    return linear.index < tools_.collects.size() ? tools_.collects[linear.index] : Collect::nothing;
  }
  bool keeps(const FactInfo& fact) const;  // whether a later sweep wants it

  void decide(std::string subject, std::string text);  // once, however often it is said of a visit
  LayerDone& done() { return place_.done; }            // what the user will read about this layer

 private:
  std::shared_ptr<void> look_up(const FactInfo& fact) const;
  std::shared_ptr<void> require(const FactInfo& fact) const;
  void require_declared(const FactInfo& fact) const;
  void require_written(const FactInfo& fact) const;

  const PassType& pass_;
  FactBoard& board_;
  SweepPlace& place_;
  const Tools& tools_;
  const OutputTools& output_;
  const Kept kept_;
};

}  // namespace strata
