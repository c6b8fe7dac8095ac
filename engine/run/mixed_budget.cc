#include "engine/run/mixed_budget.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "engine/passes/probe_menu.h"
#include "engine/prices/list_units.h"
#include "engine/prices/smallest_budget.h"

namespace strata {

std::uint64_t require_budget(const PassQuestion& question) {
  const MixedRequest& mixed = question.request.mixed;
  if (question.request.calibration.seqlen < 2)
    fail(Fault::usage, "-b {:g}: windows of one token say nothing of the source's perplexity; say --seqlen 2 or more",
         mixed.bits);
  const Menu menu = probe_menu(question);
  if (menu.units.empty())
    fail(Fault::usage,
         "--formats {}: none of the Linears of {} can be stored in two of them; add others, or --ignore less",
         formats_text(mixed), question.request.places.model);
  const Assignment others = menu_assignment(question, menu);
  if (const LinearSpec& head = question.model.spec->head; question.request.measures() && others.of(head).quantizes())
    fail(Fault::usage, "--heldout: does not measure a head in {} yet; leave out --heldout, or what makes {} so",
         others.of(head).name, head.module);
  const std::uint64_t budget = units_budget(mixed, menu.parameters, other_tensor_bytes(question.model, menu, others));
  if (budget >= menu.smallest) {
    const Checkpoint& checkpoint = question.model.checkpoint;
    constexpr std::uint64_t config = 64u << 10,
                            entry = 640;  // names and places of a Linear's tensors, in header and index
    std::uint64_t rest = checkpoint.total_bytes() + config + entry * question.model.linears.size();
    for (const std::string& name : checkpoint.sidecars()) rest += file_size(join_path(checkpoint.directory(), name));
    for (const MenuUnit& unit : menu.units)
      for (const LinearSpec* linear : unit.members)
        for (std::size_t i = 0; i < question.model.linear(*linear).tensors.size(); ++i)
          rest -= question.model.linear(*linear).piece(i).bytes;
    return rest + std::min(budget, menu.largest);
  }
  refuse_budget(list_units(question.model, menu, question.request.assignment, others), mixed);
}

}  // namespace strata
