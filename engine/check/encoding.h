// How much of a source's Linear its number format can hold: the measure of what an output may have lost.
#pragma once

#include <optional>

#include "engine/check/rules.h"
#include "engine/plan/linear_rows.h"

namespace strata {

// A Linear of the output as the source stores it; nullopt where the source stores no such Linear that is read here.
std::optional<LinearRows> rows_of_source(const VerifyContext& context, const LinearSpec& linear);

// sum (w - w')^2 over the source's Linear w and what its format makes of it by min-max scales, beside the Linears that
// are served with it. nullopt where it is in no number format, or its format cannot encode it. Reads whole Linears.
std::optional<double> plain_squared_error_of_source(const VerifyContext& context, const LinearSpec& linear);

}  // namespace strata
