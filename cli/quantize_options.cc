#include "cli/quantize_options.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/file.h"
#include "base/option_text.h"
#include "base/suggest.h"
#include "cli/model_options.h"
#include "engine/plan/request_options.h"
#include "engine/prices/prices_file.h"
#include "engine/rounding/rounding.h"
#include "engine/work/work_folder.h"
#include "formats/number_format.h"

namespace strata {
namespace {

void require_method(const std::string& name) {
  std::vector<std::string> names;
  for (const RoundingMethod* method : rounding_methods()) {
    if (method->name == name) return;
    names.emplace_back(method->name);
  }
  fail(Fault::usage, "--method: there is no rounding method '{}'{}", name, suggest(name, names));
}

// Parity is min-max scales in the arithmetic of compressed-tensors: nothing is left to search.
void complete_method(const RoundingRequest& rounding) {
  if (!rounding.method.empty()) require_method(rounding.method);
  if (rounding.parity && rounding.method_name() != "rtn")
    fail(Fault::usage,
         "--method {}: cannot be with --parity compressed-tensors, which rounds as that does; leave one out",
         rounding.method);
}

// What a run needs that chooses formats itself.
void complete_mixed(const QuantizeRequest& request) {
  const std::string asked = request.mixed.budget_text();
  if (request.mixed.bits > 0 && request.mixed.size > 0)
    fail(Fault::usage, "{}: cannot be with -b {:g}, which is a budget too; leave one out", asked, request.mixed.bits);
  if (request.mixed.formats.size() < 2)
    fail(Fault::usage, "{}: needs --formats with at least two number formats to choose from", asked);
  if (!request.assignment.scheme.empty() || !request.assignment.file.empty())
    fail(Fault::usage, "{}: chooses the formats itself; leave out {}", asked,
         request.assignment.scheme.empty() ? "--assignment" : "--scheme");
  if (request.calibration.dataset.empty())
    fail(Fault::usage, "{}: needs --dataset FILE, to measure what formats cost", asked);
  const bool parity = request.rounding.parity;
  if (parity || request.assignment.kv_cache_fp8)
    fail(Fault::usage, "{}: cannot be with {}; leave one out", asked, parity ? "--parity" : "--kv-cache");
}

// The first option that says something of a choice; empty where none does.
std::string_view of_a_choice(const MixedRequest& mixed) {
  if (!mixed.formats.empty()) return "--formats";
  if (mixed.risk > 0) return "--risk";
  if (mixed.price != PriceRule::output) return "--price";
  if (mixed.runtime != Runtime::vllm) return "--runtime";
  return mixed.tensor_parallel > 1 ? "--tp" : "";
}

// What an earlier run has decided: the model, where none is named, and how scales are chosen.
void complete_from(QuantizeRequest& request) {
  const std::string& from = request.mixed.from;
  const AssignmentRequest& formats = request.assignment;
  if (request.mixed.bits <= 0 && request.mixed.size == 0)
    fail(Fault::usage, "--from {}: needs -b BITS or --target-size SIZE, the budget to choose within", from);
  if (!formats.scheme.empty() || !formats.file.empty() || !formats.overrides.empty() || !formats.ignore.empty() ||
      !request.mixed.formats.empty() || request.mixed.runtime != Runtime::vllm || request.mixed.tensor_parallel > 1)
    fail(Fault::usage, "--from {}: its menu and patterns are those of the run that it is of; leave out {}", from,
         !formats.scheme.empty()      ? "--scheme"
         : !formats.file.empty()      ? "--assignment"
         : !formats.overrides.empty() ? "--override"
         : !formats.ignore.empty()    ? "--ignore"
                                      : of_a_choice({.formats = request.mixed.formats,
                                                     .runtime = request.mixed.runtime,
                                                     .tensor_parallel = request.mixed.tensor_parallel}));
  if (!request.calibration.dataset.empty() || !request.measure.held_out.empty())
    fail(Fault::usage, "--from {}: runs no text through the model; leave out {}, and measure with strata eval", from,
         request.calibration.dataset.empty() ? "--heldout" : "--dataset");
  const Prices prices = read_prices(join_path(from, work_names::prices));
  if (request.places.model.empty()) request.places.model = recorded_places(from).model;
  const std::string method(
      prices.made_from.value("method").value_or("").substr(0, prices.made_from.value("method").value_or("").find(' ')));
  if (!request.rounding.method.empty() && request.rounding.method != method)
    fail(Fault::usage, "--method {}: {} was encoded by {}; leave it out", request.rounding.method, from, method);
  request.rounding.method = method;
  require_method(method);
}

void complete_formats(QuantizeRequest& request) {
  AssignmentRequest& formats = request.assignment;
  if (formats.per_expert && !formats.allow_unservable)
    fail(Fault::usage,
         "--per-expert: no released runtime loads experts of one layer in several formats; --allow-unservable writes "
         "them all the same");
  if (!request.measure.held_out.empty() && !request.mixed.wanted() && request.mixed.from.empty())
    fail(Fault::usage, "--heldout: measures what -b chooses; leave it out, and measure the output with strata eval");
  if (!request.mixed.from.empty()) return;
  if (request.mixed.wanted()) {
    complete_mixed(request);
    return complete_method(request.rounding);
  }
  const MixedRequest& mixed = request.mixed;
  const std::string_view chooses = of_a_choice(mixed);
  if (!chooses.empty())
    fail(Fault::usage, "{}: needs -b BITS or --target-size SIZE, the budget to choose within", chooses);
  if (formats.scheme.empty() && formats.file.empty()) {
    std::vector<std::string_view> names;
    for (const NumberFormat* format : number_formats()) names.push_back(format->name);
    fail(Fault::usage, "--scheme: missing; one of {} (or --assignment FILE)", fmt::join(names, ", "));
  }
  if (!formats.scheme.empty()) formats.scheme = known_format("--scheme", formats.scheme);
  complete_method(request.rounding);
  if (formats.kv_cache_fp8 && request.calibration.dataset.empty())
    fail(Fault::usage, "--kv-cache fp8: needs --dataset FILE, to measure keys and values");
}

void add_option(OptionSet& options, const RequestOption& row, QuantizeRequest& target) {
  std::string help(row.help);
  if (!row.fallback.empty()) help += fmt::format(" (default {})", row.fallback);
  options.add({.names = split_names(row.names),
               .value = std::string(row.value),
               .help = std::move(help),
               .positional = !row.names.starts_with('-'),
               .repeatable = row.repeatable,
               .set = [set = row.set, name = spoken_name(row.names), &target](const std::string& text) {
                 set(target, name, text);
               }});
}

}  // namespace

void declare_quantize_options(OptionSet& options, QuantizeRequest& target) {
  std::string_view group;
  for (const RequestOption& row : request_options()) {
    if (row.group != group) options.group(std::string(group = row.group));
    add_option(options, row, target);
  }
}

void declare_request_option(OptionSet& options, std::string_view name, QuantizeRequest& target) {
  for (const RequestOption& row : request_options())
    if (spoken_name(row.names) == name) return add_option(options, row, target);
  fail(Fault::bug, "{}: is no option of a run", name);
}

void complete_quantize_request(QuantizeRequest& request, bool needs_output) {
  PlacesRequest& places = request.places;
  if (!request.mixed.from.empty()) complete_from(request);
  require_given("MODEL", places.model, "the folder of the checkpoint to quantize");
  if (needs_output) require_given("--output", places.output, "the folder for the result, -o OUT");
  complete_formats(request);
  if (!places.output.empty()) places.output = clean_path(places.output);
  if (!places.work_directory.empty()) places.work_directory = clean_path(places.work_directory);
  if (places.work_directory.empty() && !places.output.empty()) places.work_directory = places.output + ".work";
  if (const std::string& from = request.mixed.from;
      !from.empty() && resolved_path(from) == resolved_path(places.work_directory))
    fail(Fault::usage, "--from {}: is the work folder of this run too; name another one with -w", from);
  if (request.share.whole()) return;
  request.share.stem = places.work_directory;
  places.work_directory = request.share.work_directory(request.share.node);
}

}  // namespace strata
