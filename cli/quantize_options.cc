#include "cli/quantize_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

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

// The first of some options that says something else than its default; "" where none does.
std::string first_given(const QuantizeRequest& request, std::span<const std::string_view> names) {
  const QuantizeRequest untouched;
  for (const RequestOption& row : request_options())
    if (std::string name = spoken_name(row.names);
        std::ranges::find(names, name) != names.end() && row.text(request) != row.text(untouched))
      return name;
  return "";
}

// What only means something where formats are chosen by measuring.
constexpr auto of_a_choice = std::to_array<std::string_view>(
    {"--formats", "--risk", "--price", "--polish", "--probes", "--flip-tokens", "--store", "--max-source-ppl",
     "--allow-tail", "--heldout-tokens", "--no-records", "--runtime", "--tp"});
// What an earlier run has decided for whoever takes its encodings.
constexpr auto of_a_menu =
    std::to_array<std::string_view>({"--scheme", "--override", "--ignore", "--formats", "--runtime", "--tp"});
// What only means something where text goes through the model.
constexpr auto of_a_forward = std::to_array<std::string_view>(
    {"--dataset", "--part", "--add-special-tokens", "--nsamples", "--seqlen", "--boundary", "--heldout",
     "--heldout-tokens", "--allow-tail", "--polish", "--probes", "--flip-tokens", "--store", "--max-source-ppl"});

// What a run needs that chooses formats itself.
void complete_mixed(const QuantizeRequest& request) {
  const std::string asked = request.mixed.budget_text();
  if (request.mixed.bits > 0 && request.mixed.size > 0)
    fail(Fault::usage, "{}: cannot be with -b {:g}, which is a budget too; leave one out", asked, request.mixed.bits);
  if (request.mixed.polish > 0 && request.mixed.pareto)
    fail(Fault::usage, "--polish {}: changes the choice of one budget; say -b, and leave --pareto out",
         request.mixed.polish);
  if (request.mixed.polish > 0 && request.measure.held_out.empty())
    fail(Fault::usage, "--polish {}: needs --heldout FILE, to measure what exchanges give", request.mixed.polish);
  if (request.mixed.pareto && request.measure.held_out.empty())
    fail(Fault::usage,
         "--pareto {}: needs --heldout FILE, to measure what the budgets give; strata allocate WORK --pareto predicts "
         "it "
         "after a run with -b",
         request.mixed.pareto->text());
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

// What an earlier run has decided: the model, where none is named, and how scales are chosen.
void complete_from(QuantizeRequest& request) {
  const std::string& from = request.mixed.from;
  const AssignmentRequest& formats = request.assignment;
  if (request.mixed.pareto)
    fail(Fault::usage, "--from {}: writes one budget; leave out --pareto, and see strata allocate WORK --pareto", from);
  if (!request.mixed.has_budget() && formats.file.empty())
    fail(Fault::usage,
         "--from {}: needs -b BITS or --target-size SIZE, the budget to choose within, or --assignment FILE", from);
  if (request.mixed.has_budget() && !formats.file.empty())
    fail(Fault::usage, "--from {}: {} chooses what --assignment has chosen already; leave one out", from,
         request.mixed.budget_text());
  if (const std::string given = first_given(request, of_a_menu); !given.empty())
    fail(Fault::usage, "--from {}: its menu and patterns are those of the run that it is of; leave out {}", from,
         given);
  if (const std::string given = first_given(request, of_a_forward); !given.empty())
    fail(Fault::usage, "--from {}: runs no text through the model; leave out {}, and measure with strata eval", from,
         given);
  if (!is_directory(from))
    fail(Fault::usage, "--from {}: there is no such folder; name the work folder of a run with -b, such as OUT.work",
         from);
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
  if (const std::string given = first_given(request, of_a_choice); !given.empty())
    fail(Fault::usage, "{}: needs -b BITS or --target-size SIZE, the budget to choose within", given);
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
