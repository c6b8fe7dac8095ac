// Takes the choice that measuring found to be worth its bytes.
#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "engine/graph/facts.h"
#include "engine/passes/chosen_assignment.h"
#include "engine/passes/frontier_facts.h"
#include "engine/passes/probe_menu.h"
#include "engine/prices/prices_file.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata::passes {
namespace {

class ChoosePoint final : public Pass {
 public:
  void end(Desk& desk) override {
    const PassQuestion& question = desk.tools().question;
    const Frontier& frontier = desk.get(facts::frontier);
    const std::shared_ptr<const FrontierFound> found = desk.of_visit(facts::frontier_found, head_of(desk.model()));
    const std::string record = join_path(question.request.places.work_directory, work_names::prices);
    const Prices prices = read_prices(record);
    if (prices.made_from.hash() != frontier.prices)
      fail(Fault::io, "{}: is not what this run wrote there; --resume never prices again", record);
    Assignment assignment =
        chosen_assignment(question, probe_menu(question), prices, taken(prices, frontier, found->option));
    const bool polish = question.request.mixed.polish > 0;
    for (const std::string& reason : found->reasons)
      assignment.decisions.emplace_back(polish ? "polish" : "chosen point", reason);
    desk.make(facts::assignment, std::move(assignment));
  }

 private:
  // One of the lanes, or several exchanges of --polish together.
  static Allocation taken(const Prices& prices, const Frontier& frontier, const std::vector<std::uint32_t>& option) {
    for (const FrontierLane& lane : frontier.lanes)
      if (lane.allocation.option == option) return lane.allocation;
    const Allocation& first = frontier.lanes.front().allocation;
    Allocation allocation = allocation_of(prices, option);
    allocation.budget = first.budget;
    allocation.gap = std::max(0.0, first.gap + allocation.cost - first.cost);
    return allocation;
  }

  static std::size_t head_of(const OpenModel& model) {
    std::size_t i = 0;
    while (model.visits.at(i).kind != Visit::Kind::head) ++i;
    return i;
  }
};

}  // namespace

extern const PassType choose_point{
    .name = "choose_point",
    .summary = "takes the choice that is worth its bytes, by what was measured",
    .version = 1,
    .direction = Direction::none,
    .reads = {&facts::frontier, &facts::frontier_found},
    .writes = {&facts::assignment},
    .wanted = [](const PassQuestion& question) { return question.request.mixed.measuring_chooses(); },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<ChoosePoint>(); },
};

}  // namespace strata::passes
