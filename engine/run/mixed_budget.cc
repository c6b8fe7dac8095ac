#include "engine/run/mixed_budget.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "engine/passes/probe_menu.h"
#include "engine/prices/list_units.h"
#include "engine/prices/smallest_budget.h"

namespace strata {
namespace {

// Of all that are asked, and of those that may be written.
struct Budgets {
  MixedRequest least, most;
};

Budgets budgets_of(const MixedRequest& mixed) {
  if (!mixed.pareto) return {mixed, mixed};
  const std::vector<double> bits = mixed.pareto->bits();
  const MixedRequest lowest{.bits = bits.front(), .pareto = mixed.pareto};
  if (!mixed.has_budget()) return {lowest, {.bits = bits.back()}};
  MixedRequest own{.bits = mixed.bits, .size = mixed.size};
  return {mixed.bits > 0 && mixed.bits < bits.front() ? own : lowest, own};
}

}  // namespace

std::uint64_t require_budget(const PassQuestion& question) {
  const MixedRequest& mixed = question.request.mixed;
  if (question.request.calibration.seqlen < 2)
    fail(Fault::usage, "{}: windows of one token say nothing of the source's perplexity; say --seqlen 2 or more",
         mixed.budget_text());
  const Menu menu = probe_menu(question);
  if (menu.units.empty())
    fail(Fault::usage,
         "--formats {}: none of the Linears of {} can be stored in two of them; add others, or --ignore less",
         formats_text(mixed), question.request.places.model);
  if (mixed.polish > 0 && std::ranges::any_of(menu.units, &MenuUnit::tied))
    fail(
        Fault::usage,
        "--polish: exchanges single units, but with --runtime transformers all experts have one format; leave one out");
  const Assignment others = menu_assignment(question, menu);
  const ModelSpec& spec = *question.model.spec;
  if (const LinearSpec& head = spec.head; question.request.measures() && !spec.tied && others.of(head).quantizes())
    fail(Fault::usage, "--heldout: does not measure a head in {} yet; leave out --heldout, or what makes {} so",
         others.of(head).name, head.module);
  const Budgets asked = budgets_of(mixed);
  const auto bytes_of = [&](const MixedRequest& budget) {
    return units_budget(budget, menu.parameters, other_tensor_bytes(question.model, menu, others));
  };
  if (bytes_of(asked.least) >= menu.smallest) {
    const Checkpoint& checkpoint = question.model.checkpoint;
    constexpr std::uint64_t config = 64u << 10,
                            entry = 640;  // names and places of a Linear's tensors, in header and index
    std::uint64_t rest = checkpoint.total_bytes() + config + entry * question.model.linears.size();
    for (const std::string& name : checkpoint.sidecars()) rest += file_size(join_path(checkpoint.directory(), name));
    for (const MenuUnit& unit : menu.units)
      for (const LinearSpec* linear : unit.members)
        for (std::size_t i = 0; i < question.model.linear(*linear).tensors.size(); ++i)
          rest -= question.model.linear(*linear).piece(i).bytes;
    return rest + std::min(bytes_of(asked.most), menu.largest);
  }
  refuse_budget(list_units(question.model, menu, question.request.assignment, others), asked.least);
}

}  // namespace strata
