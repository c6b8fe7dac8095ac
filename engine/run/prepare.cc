#include "engine/run/prepare.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/output/output_folder.h"
#include "engine/rounding/rounding.h"
#include "engine/run/calibration.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/sweep.h"
#include "engine/work/work_folder.h"
#include "formats/checkpoint/side_files.h"

namespace strata {
namespace {

constexpr std::uint64_t smallest_direct_output = 256u << 20;

std::string place_of(const PlacesRequest& places) { return places.output.empty() ? "." : places.output; }

// With `auto` four fifths of what there is: the rest is for others.
std::optional<std::uint64_t> allowed_memory(const MachineRequest& machine) {
  if (machine.automatic_memory) return usable_memory_bytes() / 5 * 4;
  return machine.max_memory > 0 ? std::optional(machine.max_memory) : std::nullopt;
}

ScaleRule scale_rule(const RoundingRequest& rounding) {
  const ScaleRule rule = require_rounding_method(rounding.method_name()).rule;
  return rounding.parity ? ScaleRule::compressed_tensors : rule;
}

// Fewer windows, else shorter ones, by halves: the first amount of data whose peak is at most `limit`.
std::string data_that_fits(const OpenModel& model, const Assignment& assignment, const MemoryQuestion& question,
                           std::uint64_t limit) {
  const auto fits = [&](const MemoryQuestion& less) {
    return plan_memory(model, assignment, less, limit).memory.peak() <= limit;
  };
  MemoryQuestion fewer = question;
  while ((fewer.samples /= 2) > 0)
    if (fits(fewer)) return fmt::format("--nsamples {}", fewer.samples);
  MemoryQuestion shorter = question;
  while ((shorter.tokens /= 2) > 0)
    if (fits(shorter)) return fmt::format("--seqlen {}", shorter.tokens);
  return "";
}

}  // namespace

Prepared prepare(const QuantizeRequest& request, const ComputeSession& session) {
  const CalibrationRequest& data = request.calibration;
  OpenModel model = open_model(request.places.model);
  Assignment assignment = assign_formats(model, request.assignment,
                                         {.rule = scale_rule(request.rounding), .has_data = !data.dataset.empty()});
  for (const LeftOut& left_out : list_side_files(request.places.model).left_out)
    assignment.decisions.emplace_back(left_out.name, left_out.why);
  const bool calibrate = needs_calibration(model, data, request.rounding, assignment);
  if (!calibrate && !data.dataset.empty())
    assignment.decisions.emplace_back(data.dataset, "not used: nothing in this run learns from it");
  OutputPlan output = plan_output(model, assignment, request.places.shard_size);
  give_back_freed_memory();  // what laying out 100,000 names took
  const MemoryQuestion question{
      .samples = calibrate ? data.nsamples : 0,
      .tokens = calibrate ? data.seqlen : 0,
      .threads = session.threads(),
      .columns = calibrate && require_rounding_method(request.rounding.method_name()).weighs_columns,
      .data = calibrate ? data_memory(data, model) : 0,
      .base = resident_bytes()};
  const std::optional<std::uint64_t> allowed = allowed_memory(request.machine);
  const std::uint64_t usable = usable_memory_bytes();
  const CutPlan plan = plan_memory(model, assignment, question, allowed.value_or(usable));
  Prepared prepared{.model = std::move(model),
                    .assignment = std::move(assignment),
                    .output = std::move(output),
                    .calibrate = calibrate,
                    .cut = plan.cut,
                    .memory = plan.memory,
                    .allowed_memory = allowed,
                    // Where the plan is wrong the run ends with an error that names the holders, not out of memory.
                    .memory_limit = allowed.value_or(std::max(plan.memory.peak(), usable))};
  if (!allowed && plan.memory.peak() > usable)
    prepared.data_that_fits = data_that_fits(prepared.model, prepared.assignment, question, usable / 100 * 95);
  // A small output is better off in the page cache, where whoever looks at it next finds it.
  if (prepared.output.total_bytes >= smallest_direct_output) prepared.write_mode = WriteMode::direct;
  if (!calibrate) return prepared;
  prepared.boundary = boundary_shape(data.nsamples, data.seqlen, prepared.model.spec->hidden, data.boundary);
  // That which entered the layer that is committed, that which left it, and that which leaves the next; and where
  // hidden states are not in memory, a file of them, and one of what the experts add.
  prepared.work_disk = 3 * boundary_file_bound(*prepared.boundary);
  if (!plan.cut.in_memory) prepared.work_disk += 2 * float_bytes(*prepared.boundary);
  return prepared;
}

// The limit to name: whole MiB and one more, because the process that is given it is not resident to the same page.
static std::string limit_that_works(std::uint64_t peak) {
  constexpr std::uint64_t mib = 1u << 20;
  return fmt::format("{}MiB", align_up(peak, mib) / mib + 1);
}

void require_quantized(const PlanSummary& plan, const QuantizeRequest& request) {
  if (plan.nothing.empty() || request.assignment.allow_nothing) return;
  fail(Fault::usage, "{}: {}; --allow-nothing writes the model all the same", request.places.model, plan.nothing);
}

void require_fit(const PlanSummary& plan, const QuantizeRequest& request) {
  if (plan.memory_limit > 0 && plan.peak_memory > plan.memory_limit)
    fail(Fault::budget, "memory: the run needs {} but --max-memory is {}; the smallest limit that works is {}",
         human_bytes(plan.peak_memory), human_bytes(plan.memory_limit), limit_that_works(plan.peak_memory));
  if (plan.peak_memory > plan.available_memory)
    fail(Fault::budget, "memory: the run needs {} but {} are available; {}", human_bytes(plan.peak_memory),
         human_bytes(plan.available_memory),
         plan.data_that_fits.empty() ? "end other programs, or use a machine that has more"
                                     : plan.data_that_fits + " fits");
  if (plan.output_bytes > plan.free_disk)
    fail(Fault::budget, "{}: the output needs {} of disk but {} are free", place_of(request.places),
         human_bytes(plan.output_bytes), human_bytes(plan.free_disk));
  const std::string work =
      request.places.work_directory.empty() ? place_of(request.places) : request.places.work_directory;
  const std::uint64_t stale = stale_work_bytes(work), free = free_disk_bytes(work) + stale;
  if (plan.work_disk > free)
    fail(Fault::budget, "{}: hidden states need {} of disk but {} are free", work, human_bytes(plan.work_disk),
         human_bytes(free));
  if (same_disk(work, place_of(request.places)) && plan.output_bytes + plan.work_disk > plan.free_disk + stale)
    fail(Fault::budget,
         "{}: the output needs {} of disk and hidden states need {}, but {} are free; -w on another disk helps",
         place_of(request.places), human_bytes(plan.output_bytes), human_bytes(plan.work_disk),
         human_bytes(plan.free_disk + stale));
  if (request.machine.disk > 0 && plan.work_disk > request.machine.disk)
    fail(Fault::budget, "--disk {}: the hidden states of three layers need {}; the smallest limit that works is {}",
         human_bytes(request.machine.disk), human_bytes(plan.work_disk), plan.work_disk);
}

PlanSummary summarize(const Prepared& prepared, const PlacesRequest& places) {
  const std::string place = place_of(places);
  const ModelSpec& spec = *prepared.model.spec;
  PlanSummary summary{.family = spec.family,
                      .layers = static_cast<int>(spec.layers.size()),
                      .calibrate = prepared.calibrate,
                      .source_bytes = prepared.model.checkpoint.total_bytes(),
                      .output_bytes = prepared.output.total_bytes,
                      .tensor_bytes = prepared.output.tensor_bytes,
                      .shards = static_cast<int>(prepared.output.shards.size()),
                      .bits_per_parameter = prepared.output.bits_per_parameter,
                      .peak_memory = prepared.memory.peak(),
                      .memory_limit = prepared.allowed_memory.value_or(0),
                      .work_disk = prepared.work_disk,
                      .threads = prepared.cut.threads,
                      .layers_in_flight = std::min(most_uncommitted, static_cast<int>(prepared.model.visits.size())),
                      .states_in_memory = prepared.cut.in_memory,
                      .bytes_read = prepared.model.checkpoint.total_bytes(),
                      .bytes_written = prepared.output.total_bytes,
                      .free_disk = free_disk_bytes(place) + stale_partial_bytes(place),
                      .available_memory = usable_memory_bytes(),
                      .linears_per_format = prepared.output.linears_per_format,
                      .decisions = prepared.assignment.decisions,
                      .nothing = prepared.assignment.nothing,
                      .data_that_fits = prepared.data_that_fits};
  for (const LayerSpec& layer : spec.layers)
    if (layer.moe() != nullptr) summary.experts = static_cast<int>(layer.moe()->experts.size());
  return summary;
}

PlanSummary plan_quantize(const QuantizeRequest& request) {
  const ComputeSession session(request.machine.device, request.machine.threads);
  return summarize(prepare(request, session), request.places);
}

}  // namespace strata
