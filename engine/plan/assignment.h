// Which number format every Linear gets, and why.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/plan/open_model.h"
#include "engine/plan/request.h"

namespace strata {

// Columns have a row for each Linear of the model: LinearSpec::index.
struct Assignment {
  std::vector<const NumberFormat*> formats;
  std::vector<char> copied;                                    // 1: its codes are the source's
  ScaleRule rule = ScaleRule::minmax;                          // how every scale is chosen
  bool per_expert = false;                                     // experts of a layer may have several formats
  bool kv_cache_fp8 = false;                                   // every layer gets scales for its cache
  bool vllm_loads = true;                                      // a released vLLM loads the output
  bool untied = false;                                         // the output's config no longer ties the head
  std::vector<std::pair<std::string, std::string>> decisions;  // subject, what was decided and why
  std::string nothing;  // why nothing is quantized as asked; empty when something is, or was not asked for
  std::string prices;   // fingerprint of the prices by which a run chose; empty where none did

  const NumberFormat& of(const LinearSpec& linear) const { return *formats.at(linear.index); }
  // Whether its codes are the source's own, in a format that says so.
  bool copies_codes(const LinearSpec& linear) const { return copied.at(linear.index) != 0; }
  // Whether the output holds what the source holds, as codes or as a dense weight: nothing is encoded.
  bool copies(const LinearSpec& linear) const { return of(linear).verbatim || copies_codes(linear); }
};

using FormatsByModule = std::unordered_map<std::string, const NumberFormat*>;

// What decides about formats beside the request.
struct AssignmentContext {
  ScaleRule rule = ScaleRule::minmax;
  bool has_data = false;                     // formats that need calibration may be recommended
  const FormatsByModule* decided = nullptr;  // by the run itself: counts more than the scheme, less than what is asked
  bool of_menu = false;  // one format of several: where it only copies and finds no such codes, a Linear is kept
};

// The scheme for every Linear that its family quantizes, then --assignment for those it names, then --override
// (the last match wins), then --ignore. Linears that are served as one matrix, and all experts of a layer, share one
// format: a rule that splits them is Error{usage}. A shape that its format refuses keeps its whole unit as it is, as a
// decision, or is Error{input} with --strict. A pattern that matches nothing is Error{usage}. What is kept, or stored
// as asked already, is copied code by code; a format that only copies is Error{usage} for what is stored otherwise.
Assignment assign_formats(const OpenModel& model, const AssignmentRequest& request,
                          const AssignmentContext& context = {});

// Linears of a layer that must share a format: q/k/v, gate/up, all experts' matrices (`per_expert`: those of each),
// each other Linear alone.
std::vector<std::vector<const LinearSpec*>> format_units(const Visit& visit, bool per_expert = false);

// The options that keep a Linear of the visit: all of its unit, which must share a format. Patterns where there are
// many, in single quotes for a shell: "--ignore 'model.layers.0.mlp.experts.*'".
std::string ignore_options(const Visit& visit, const LinearSpec& linear);

// Linears that share tensor-wide scales: fused siblings; each other Linear alone.
std::vector<std::vector<const LinearSpec*>> fused_groups(std::span<const LinearSpec* const> linears);

}  // namespace strata
