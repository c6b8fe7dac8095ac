// What a run with a menu chooses between, and how it encodes: what `probe` and `allocate` must agree about.
#pragma once

#include <string>

#include "engine/graph/collect.h"
#include "engine/graph/pass_question.h"
#include "engine/plan/menu.h"
#include "engine/rounding/rounding.h"

namespace strata {

class Fingerprint;

Menu probe_menu(const PassQuestion& question);
// With what was decided for the units of the menu; without it, of all others.
Assignment menu_assignment(const PassQuestion& question, const Menu& menu, const FormatsByModule* decided = nullptr);
const RoundingMethod& probe_method(const PassQuestion& question);
ScaleRule probe_rule(const PassQuestion& question);
Collect probe_collects(const PassQuestion& question);             // of every Linear's input
void menu_key(const PassQuestion& question, Fingerprint& print);  // what all of this depends on
std::string formats_text(const MixedRequest& mixed);              // "NVFP4,BF16"

}  // namespace strata
