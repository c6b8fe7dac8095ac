#include "engine/run/mixed_budget.h"

#include <cmath>

#include "base/error.h"
#include "engine/passes/probe_menu.h"

namespace strata {

void require_budget(const PassQuestion& question) {
  const MixedRequest& mixed = question.request.mixed;
  const Menu menu = probe_menu(question);
  if (menu.units.empty())
    fail(Fault::usage,
         "--formats {}: none of the Linears of {} can be stored in two of them; add others, or --ignore less",
         formats_text(mixed), question.request.places.model);
  if (menu.budget(mixed.bits) >= menu.smallest) return;
  // Rounded up: what is named works.
  const double least = std::ceil(menu.bits(menu.smallest) * 1000) / 1000;
  fail(Fault::usage, "-b {:g}: the smallest that {} give {} units is {:.3f} bits per parameter; say -b {:.3f}",
       mixed.bits, formats_text(mixed), menu.units.size(), menu.bits(menu.smallest), least);
}

}  // namespace strata
