#include "engine/sweep/memory_plan.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/reader.h"
#include "engine/graph/facts.h"
#include "engine/source/layer_bytes.h"
#include "engine/sweep/boundary.h"
#include "engine/sweep/boundary_keeper.h"

namespace strata {
namespace {

// Chosen so that plans meet measured peaks: docs/benchmarks.md.
constexpr std::uint64_t late_base = 16u << 20;  // code that is loaded when it first runs, stacks, names

// One way of cutting: the parts are the same for all cuts that have its limits.
struct Cutting {
  Cutting(const SweepQuestion& question, const PartLimits& limits)
      : parts(question.cut ? question.cut(limits) : cut_run(question.pass, question.sweep, limits)),
        sizes(question.pass, parts) {}

  const std::vector<Part> parts;
  const PartSizes sizes;
};

std::uint64_t source_bytes(const PassQuestion&, const Part& part) { return LayerBytes::memory(part); }

// Files of hidden states: what entered the layer that is committed, what left it, and what leaves the next; all of them
// where a later sweep reads them.
std::uint64_t kept_states(const SweepQuestion& question, const MovingStates& states) {
  const bool stay = std::ranges::find(question.sweep.keeps, states.fact) != question.sweep.keeps.end();
  const std::uint64_t sets = stay ? question.pass.model.visits.size() : 3;
  return sets * states.lanes * boundary_file_bound(states.shape);
}

MemoryPlan plan_for(const SweepQuestion& question, const Cut& cut, const PartSizes& sizes) {
  MemoryPlan plan{.base = question.base + late_base, .data = question.data};
  plan.sheet.add(Resource::host, "source", static_cast<std::uint64_t>(cut.slots) * sizes.largest(source_bytes));
  plan.sheet.reserve("libraries", reader_memory);
  const CostQuestion cost{
      .pass = question.pass,
      .sweep = question.sweep,
      .cut = cut,
      .sizes = sizes,
      .moving = question.moving,
      .columns = std::ranges::any_of(question.collects, [](Collect wanted) { return has(wanted, Collect::squares); })};
  for (const MovingStates& states : question.moving) {
    plan.sheet.add(Resource::host, "files", EncodedBlocks::memory(states.shape, cut.threads, states.abreast()));
    plan.sheet.add(Resource::disk, states.starts.empty() ? "hidden states" : states.fact->name,
                   kept_states(question, states));
  }
  // What an earlier sweep kept lies there while its visit is open.
  for (const MovingStates& states : question.found)
    plan.sheet.add(cut.in_memory ? Resource::host : Resource::disk, cut.in_memory ? "boundary" : "scratch",
                   states.lanes * float_bytes(states.shape));
  for (const PassType* pass : question.sweep.passes)
    if (pass->cost != nullptr) pass->cost(cost, plan.sheet);
  return plan;
}

// From the fastest to the smallest: small groups of experts cost little, the scratch file some reading and writing,
// fewer threads most.
std::vector<Cut> cuts(const SweepQuestion& question) {
  std::vector<Cut> all;
  // Going back, gradients of the experts of a group add up within it first: in groups of one their sum, and with it
  // every price, is the same whatever memory there is.
  const bool back = question.sweep.direction == Direction::reverse;
  for (int threads = question.threads;; threads /= 2) {
    for (const bool in_memory : {true, false}) {
      if (!in_memory && (question.moving.empty() || !question.scratch)) continue;
      for (const std::uint64_t group : {std::uint64_t{64} << 20, std::uint64_t{16} << 20, std::uint64_t{0}}) {
        Cut cut{.limits = {.group_bytes = group}, .in_memory = in_memory, .threads = threads};
        if (back && group > 0) continue;
        if (back) all.push_back(cut);
        if (group == 0) cut.slots = 2, cut.renders = 1;
        all.push_back(cut);
      }
    }
    if (threads <= 1) return all;
  }
}

}  // namespace

// Encodings that are kept are read from where they are kept.
static void leave_out_stored(const PassQuestion& question, Part& part) {
  for (const LinearSpec* linear : part.linears) {
    if (!question.is_stored(*linear)) continue;
    const std::vector<const TensorInfo*>& tensors = question.model.linear(*linear).tensors;
    std::erase_if(part.pieces,
                  [&](const TensorPiece& piece) { return std::ranges::find(tensors, piece.tensor) != tensors.end(); });
  }
}

std::vector<Part> cut_run(const PassQuestion& question, const SweepPlan& sweep, const PartLimits& limits) {
  const OpenModel& model = question.model;
  const Assignment* const assignment = question.assignment;
  std::vector<Part> parts;
  if (sweep.direction == Direction::none) return parts;
  for (std::size_t place = 0; place < model.visits.size(); ++place) {
    const std::size_t i = sweep.direction == Direction::reverse ? model.visits.size() - 1 - place : place;
    const std::size_t first = parts.size();
    const bool logits = sweep.head_use() != HeadUse::none && model.visits[i].kind == Visit::Kind::head;
    if (logits)
      for (Part& part : cut_forward(model, i, sweep.head_use() == HeadUse::whole, limits))
        parts.push_back(std::move(part));
    if (logits && !sweep.writes(facts::output)) continue;
    const bool copies_head =
        assignment != nullptr && std::ranges::all_of(model.visits[i].linears, [&](const LinearSpec* linear) {
          return assignment->of(*linear).verbatim && !assignment->copies_codes(*linear);
        });
    for (Part& part : cut_visit(model, model.visits[i], i, copies_head, limits)) parts.push_back(std::move(part));
    for (std::size_t part = first; part < parts.size(); ++part) {
      parts[part].index = part - first;
      parts[part].first = part == first;
      parts[part].last = part + 1 == parts.size();
      leave_out_stored(question, parts[part]);
    }
  }
  return parts;
}

CutPlan plan_memory(const SweepQuestion& question, std::uint64_t limit) {
  std::map<std::uint64_t, std::unique_ptr<Cutting>> by_group;
  std::optional<CutPlan> smallest;
  for (const Cut& cut : cuts(question)) {
    std::unique_ptr<Cutting>& cutting = by_group[cut.limits.group_bytes];
    if (cutting == nullptr) cutting = std::make_unique<Cutting>(question, cut.limits);
    CutPlan plan = {cut, plan_for(question, cut, cutting->sizes)};
    if (plan.memory.peak() <= limit) return plan;
    // Not always the last: a scratch file saves nothing where all hidden states are one block.
    if (!smallest || plan.memory.peak() < smallest->memory.peak()) smallest = plan;
  }
  return *smallest;
}

}  // namespace strata
