// Whether a Linear is stored in the format that config.json gives it.
#pragma once

#include <string>

#include "engine/check/rules.h"

namespace strata {

// The field that holds the codes of a Linear: "weight" or "weight_packed".
const Field& code_field(const std::vector<Field>& fields);

// Why the codes on disk are not those of the Linear's format (or a dense weight); empty when they are.
std::string stored_otherwise(const VerifyContext& context, const LinearSpec& linear);

// The above, or a shape that the format cannot store.
bool is_misfit(const VerifyContext& context, const LinearSpec& linear);

}  // namespace strata
