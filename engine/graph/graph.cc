#include "engine/graph/graph.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace strata {
namespace {

using Index = std::size_t;  // of a pass in `chosen`
using Passes = std::span<const PassType* const>;

// Who makes a fact and who makes more of it. At most one of each.
struct Makers {
  std::optional<Index> writer, advancer;
};

bool merely_reads(const PassType& pass, const FactInfo& fact) {
  return pass.wants(fact) && !pass.writes.contains(fact);
}

// All that the passes name, in order of first appearance. Error{bug} when two have one name, by which keys and files of
// the run would mix them up.
std::vector<const FactInfo*> facts_of(Passes passes) {
  std::vector<const FactInfo*> facts;
  for (const PassType* pass : passes)
    for (const FactList* list : {&pass->reads, &pass->uses, &pass->writes})
      for (const FactInfo* fact : *list) {
        if (std::ranges::find(facts, fact) != facts.end()) continue;
        if (std::ranges::find(facts, fact->name, &FactInfo::name) != facts.end())
          fail(Fault::bug, "pass {}: names a second fact {}", pass->name, fact->name);
        facts.push_back(fact);
      }
  return facts;
}

Makers find_makers(Passes passes, const FactInfo& fact) {
  Makers makers;
  for (Index i = 0; i < passes.size(); ++i) {
    if (!passes[i]->writes.contains(fact)) continue;
    std::optional<Index>& place = passes[i]->advances(fact) ? makers.advancer : makers.writer;
    if (place)
      fail(Fault::bug, "passes {} and {}: both write {}; one of them must not, or must read it too",
           passes[*place]->name, passes[i]->name, fact.name);
    place = i;
  }
  return makers;
}

void require_makers(Passes passes, const FactInfo& fact, const Makers& makers, Facts given) {
  if (fact.at_start || std::ranges::find(given, &fact) != given.end() || makers.writer) return;
  for (const PassType* pass : passes)
    if (pass->reads.contains(fact) && !(fact.moves_on && makers.advancer))
      fail(Fault::bug, "pass {}: reads {}, which no pass of this run writes and nobody gave", pass->name, fact.name);
}

// Who waits for whom.
class Order {
 public:
  explicit Order(Index count) : before_(count, std::vector<bool>(count)) {}

  void add(Index first, Index second) { before_[first][second] = true; }
  bool directly(Index first, Index second) const { return before_[first][second]; }

  // Also over others.
  std::vector<std::vector<bool>> reachable() const {
    std::vector<std::vector<bool>> reach = before_;
    for (Index via = 0; via < reach.size(); ++via)
      for (Index from = 0; from < reach.size(); ++from)
        for (Index to = 0; to < reach.size(); ++to)
          if (reach[from][via] && reach[via][to]) reach[from][to] = true;
    return reach;
  }

  // `members`, the first that waits for no other one first. Error{bug} when they wait in a circle.
  std::vector<Index> sorted(std::vector<Index> members, Passes passes) const {
    std::vector<Index> result;
    while (!members.empty()) {
      const auto waits = [&](Index pass) {
        return std::ranges::any_of(members, [&](Index other) { return directly(other, pass); });
      };
      const auto ready = std::ranges::find_if_not(members, waits);
      if (ready == members.end()) fail_in_circle(members, passes);
      result.push_back(*ready);
      members.erase(ready);
    }
    return result;
  }

 private:
  // Every one of `members` waits for another one: whoever goes back from one to the next comes round.
  [[noreturn]] void fail_in_circle(const std::vector<Index>& members, Passes passes) const {
    std::vector<Index> path = {members.front()};
    for (;;) {
      const Index next = *std::ranges::find_if(members, [&](Index other) { return directly(other, path.back()); });
      const auto seen = std::ranges::find(path, next);
      if (seen == path.end()) {
        path.push_back(next);
        continue;
      }
      std::string text;
      for (auto pass = seen; pass != path.end(); ++pass) text += fmt::format("{} after ", passes[*pass]->name);
      fail(Fault::bug, "passes wait for each other: {}{}", text, passes[next]->name);
    }
  }

  std::vector<std::vector<bool>> before_;  // [first][second]
};

class Planner {
 public:
  Planner(Passes passes, Facts given)
      : passes_(passes), facts_(facts_of(passes)), order_(passes.size()), sweep_of_(passes.size(), nowhere) {
    for (const FactInfo* fact : facts_) {
      makers_.push_back(find_makers(passes, *fact));
      require_makers(passes, *fact, makers_.back(), given);
    }
    order_by_writers();
    order_by_improvers();
    std::vector<Index> all(passes.size());
    std::iota(all.begin(), all.end(), Index{0});
    order_.sorted(all, passes);  // refuses circles
    reach_ = order_.reachable();
  }

  std::vector<SweepPlan> sweeps() {
    std::vector<SweepPlan> result;
    for (Index open = 0; std::ranges::find(sweep_of_, nowhere) != sweep_of_.end(); ++open) {
      const std::vector<Index> members = fill(open);
      SweepPlan sweep{.direction = passes_[members.front()]->direction};
      for (const Index pass : with_boundary(members)) sweep.passes.push_back(passes_[pass]);
      result.push_back(std::move(sweep));
    }
    for (Index f = 0; f < facts_.size(); ++f) note_kept(*facts_[f], makers_[f], result);
    return result;
  }

 private:
  static constexpr Index nowhere = static_cast<Index>(-1);

  // f(fact, makers, reader) for everybody who reads or uses a fact without writing it.
  template <typename Function>
  void for_each_reader(const Function& function) const {
    for (Index f = 0; f < makers_.size(); ++f)
      for (Index reader = 0; reader < passes_.size(); ++reader)
        if (const FactInfo& fact = *facts_[f]; merely_reads(*passes_[reader], fact)) function(fact, makers_[f], reader);
  }

  void order_by_writers() {
    for (const Makers& makers : makers_)
      if (makers.writer && makers.advancer) order_.add(*makers.writer, *makers.advancer);
    for_each_reader([&](const FactInfo&, const Makers& makers, Index reader) {
      if (makers.writer) order_.add(*makers.writer, reader);
    });
  }

  // Readers see what became of a fact in the end, but for those that the improver itself waits for.
  void order_by_improvers() {
    const std::vector<std::vector<bool>> reach = order_.reachable();
    for_each_reader([&](const FactInfo& fact, const Makers& makers, Index reader) {
      if (makers.advancer && !fact.moves_on && !reach[reader][*makers.advancer]) order_.add(*makers.advancer, reader);
    });
  }

  // All passes that can be in sweep `open`; the first that can decides its direction.
  std::vector<Index> fill(Index open) {
    std::vector<Index> members;
    for (bool grown = true; grown;) {
      grown = false;
      for (Index pass = 0; pass < passes_.size(); ++pass) {
        if (sweep_of_[pass] != nowhere || !may_join(pass, open)) continue;
        if (!members.empty() && passes_[pass]->direction != passes_[members.front()]->direction) continue;
        require_kept(pass, open);
        sweep_of_[pass] = open;
        members.push_back(pass);
        grown = true;
      }
    }
    std::ranges::sort(members);
    return members;
  }

  bool may_join(Index pass, Index open) const {
    for (Index other = 0; other < passes_.size(); ++other)
      if (order_.directly(other, pass) && sweep_of_[other] == nowhere) return false;
    for (Index f = 0; f < makers_.size(); ++f) {
      const FactInfo& fact = *facts_[f];
      if (!passes_[pass]->wants(fact)) continue;
      if (fact.whole_model && comes_after_maker(pass, makers_[f], open)) return false;
      const auto advancer = makers_[f].advancer;
      if (fact.moves_on && advancer && sweep_of_[*advancer] == open && reach_[*advancer][pass]) return false;
    }
    return true;
  }

  bool comes_after_maker(Index pass, const Makers& makers, Index open) const {
    for (const auto& maker : {makers.writer, makers.advancer})
      if (maker && sweep_of_[*maker] == open && order_.directly(*maker, pass)) return true;
    return false;
  }

  void require_kept(Index pass, Index open) const {
    for (Index f = 0; f < makers_.size(); ++f) {
      const FactInfo& fact = *facts_[f];
      if (fact.kept() || !passes_[pass]->reads.contains(fact)) continue;
      for (const auto& maker : {makers_[f].writer, makers_[f].advancer})
        if (maker && *maker != pass && sweep_of_[*maker] != open && order_.directly(*maker, pass))
          fail(Fault::bug, "pass {}: reads {} of {}, which runs in an earlier sweep; {} is not kept that long",
               passes_[pass]->name, fact.name, passes_[*maker]->name, fact.name);
    }
  }

  // Who wants it in a later sweep than it is made in finds what was kept there.
  void note_kept(const FactInfo& fact, const Makers& makers, std::vector<SweepPlan>& sweeps) const {
    const std::optional<Index> last = makers.advancer ? makers.advancer : makers.writer;
    if (!last || !fact.kept()) return;
    const Index made = sweep_of_[*last];
    for (Index i = made + 1; i < sweeps.size(); ++i) {
      if (!sweeps[i].wants(fact)) continue;
      sweeps[i].finds.push_back(&fact);
      if (std::ranges::find(sweeps[made].keeps, &fact) == sweeps[made].keeps.end()) sweeps[made].keeps.push_back(&fact);
    }
  }

  // The passes of one sweep in order: whoever reads a fact that moves on goes before the pass that moves it.
  std::vector<Index> with_boundary(const std::vector<Index>& members) const {
    Order order = order_;
    for_each_reader([&](const FactInfo& fact, const Makers& makers, Index reader) {
      if (fact.moves_on && makers.advancer) order.add(reader, *makers.advancer);
    });
    return order.sorted(members, passes_);
  }

  Passes passes_;
  const std::vector<const FactInfo*> facts_;
  std::vector<Makers> makers_;  // of each of facts_
  Order order_;
  std::vector<std::vector<bool>> reach_;
  std::vector<Index> sweep_of_;
};

std::string or_nothing(const std::string& text) { return text.empty() ? "nothing" : text; }

std::string wanted_text(const PassType& pass) {
  const std::string used = facts_text(pass.uses);
  std::string text = facts_text(pass.reads);
  if (!used.empty()) text += fmt::format("{}({})", text.empty() ? "" : " ", used);
  return or_nothing(text);
}

}  // namespace

bool SweepPlan::writes(const FactInfo& fact) const {
  return std::ranges::any_of(passes, [&](const PassType* pass) { return pass->writes.contains(fact); });
}

bool SweepPlan::wants(const FactInfo& fact) const {
  return std::ranges::any_of(passes, [&](const PassType* pass) { return pass->wants(fact); });
}

HeadUse SweepPlan::head_use() const {
  HeadUse use = HeadUse::none;
  for (const PassType* pass : passes)
    if (use == HeadUse::none || pass->logits == HeadUse::whole) use = pass->logits;
  return use;
}

const PassType* SweepPlan::advancer(const FactInfo& fact) const {
  const auto found = std::ranges::find_if(passes, [&](const PassType* pass) { return pass->advances(fact); });
  return found == passes.end() ? nullptr : *found;
}

// Puts a pass that goes any way before the first that wants what it writes, in sweeps that cannot do without it.
static void join(const PassType& helper, SweepPlan& sweep) {
  const auto made = [&](const FactInfo* fact) { return helper.writes.contains(*fact); };
  const bool needed =
      std::ranges::any_of(sweep.passes, [&](const PassType* pass) { return std::ranges::any_of(pass->reads, made); });
  if (!needed || sweep.direction == Direction::none) return;
  const auto first = std::ranges::find_if(sweep.passes, [&](const PassType* pass) {
    return std::ranges::any_of(pass->reads, made) || std::ranges::any_of(pass->uses, made);
  });
  sweep.passes.insert(first, &helper);
}

std::vector<SweepPlan> plan_sweeps(std::span<const PassType* const> chosen, Facts given) {
  std::vector<const PassType*> ordered, helpers;
  std::vector<const FactInfo*> there(given.begin(), given.end());
  for (const PassType* pass : chosen) {
    (pass->direction == Direction::any ? helpers : ordered).push_back(pass);
    if (pass->direction == Direction::any) there.insert(there.end(), pass->writes.begin(), pass->writes.end());
  }
  std::vector<SweepPlan> sweeps = Planner(ordered, there).sweeps();
  for (SweepPlan& sweep : sweeps)
    for (const PassType* helper : helpers) join(*helper, sweep);
  return sweeps;
}

std::string graph_text(std::span<const SweepPlan> sweeps) {
  std::size_t name = 0, reads = 0, writes = 0;  // widths of the columns
  for (const SweepPlan& sweep : sweeps)
    for (const PassType* pass : sweep.passes) {
      name = std::max(name, pass->name.size());
      reads = std::max(reads, wanted_text(*pass).size());
      writes = std::max(writes, or_nothing(facts_text(pass->writes)).size());
    }
  std::string text;
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    const bool visits = sweeps[i].direction != Direction::none;
    text += fmt::format("sweep {}, {}\n", i + 1, visits ? direction_name(sweeps[i].direction) : "without layers");
    for (const PassType* pass : sweeps[i].passes)
      text += fmt::format("  {:<{}}  reads {:<{}}  writes {:<{}}  - {}\n", pass->name, name, wanted_text(*pass), reads,
                          or_nothing(facts_text(pass->writes)), writes, pass->summary);
  }
  return text;
}

}  // namespace strata
