// The claim audit: every tensor of a checkpoint belongs to exactly one part of the model, or the run
// stops and names it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/number_format.h"
#include "profiles/model_spec.h"

namespace strata {

// The format in which a module is stored in this checkpoint, nullptr when it is dense ("<module>.weight").
using StoredFormat = std::function<const NumberFormat*(std::string_view module)>;

// Checks names, shapes and dtypes of everything that `model` needs against the checkpoint: a missing
// tensor, a wrong shape (both are named), a tensor that nobody claims, a tensor claimed twice is Error{input}.
void audit_claims(const ModelSpec& model, const Checkpoint& checkpoint, const StoredFormat& stored);

// The same, as a list of everything that is wrong, each naming its tensor; empty when all is well.
std::vector<std::string> claim_problems(const ModelSpec& model, const Checkpoint& checkpoint,
                                        const StoredFormat& stored);

}  // namespace strata
