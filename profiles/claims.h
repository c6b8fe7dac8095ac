// The claim audit: every tensor of a checkpoint belongs to exactly one part of the model, or the run
// stops and names it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "formats/number_format.h"
#include "formats/storage/stored_linear.h"
#include "profiles/model_spec.h"

namespace strata {

// The format in which a module is stored in this checkpoint, nullptr when it is dense ("<module>.weight").
using StoredFormat = std::function<const NumberFormat*(std::string_view module)>;

// How to tell how a Linear is stored.
struct StorageRules {
  StoredFormat format;
  NativeRules native = {};  // nothing native by default: outputs have none
};

struct ClaimProblem {
  std::string tensor;  // name
  std::string file;    // the shard that holds it; empty when it is missing
  std::string what;    // "has shape [2], config.json asks for [3]"; of a missing one "[3] is missing; ..."

  std::string text() const;  // "FILE: tensor NAME: what", or "tensor NAME what" when it is missing
};

struct Claims {
  std::vector<ClaimProblem> problems;  // everything that is wrong; empty when all is well
  // Linears whose columns do not divide into what shares a scale: they cannot be read. Not among the problems, for
  // the linter has a rule for them.
  std::vector<std::string> uncut;
  // Claimed, but never part of an output: scales for a cache of keys and values, measured on other formats.
  std::vector<std::string> dropped;
};

// Checks names, shapes and dtypes of everything that `model` needs against the checkpoint: a missing
// tensor, a wrong shape (both are named), a tensor that nobody claims, a tensor claimed twice are problems.
Claims claim_tensors(const ModelSpec& model, const Checkpoint& checkpoint, const StorageRules& rules);

// The same where no storage of another tool is expected; the first problem is Error{input}, or all are a list.
void audit_claims(const ModelSpec& model, const Checkpoint& checkpoint, const StoredFormat& stored);
std::vector<ClaimProblem> claim_problems(const ModelSpec& model, const Checkpoint& checkpoint,
                                         const StoredFormat& stored);

void require_no_problems(const Claims& claims, const Checkpoint& checkpoint);  // Error{input} with the first

}  // namespace strata
