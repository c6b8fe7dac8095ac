#include "engine/run/gate.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "engine/eval/forward_run.h"
#include "engine/measure/divergence_meters.h"
#include "engine/output/output_folder.h"
#include "engine/work/work_folder.h"

namespace strata {
namespace {

// What the same sums give on parts that were cut in another way, with room.
constexpr double relative_tolerance = 1e-5, absolute_tolerance = 1e-9;

double measured_kl(const std::string& file) {
  const auto json = nlohmann::json::parse(read_text(file), nullptr, /*allow_exceptions=*/false);
  const auto path = nlohmann::json::json_pointer("/candidates/0/kl_mean");
  if (json.is_discarded() || !json.contains(path) || !json.at(path).is_number())
    fail(Fault::io, "{}: is not what this run wrote there; --resume never measures again", file);
  return json.at(path).get<double>();
}

}  // namespace

void require_as_measured(const RunPlan& plan, const QuantizeRequest& request, const MeasuredWindows& windows,
                         const BoundaryReader& teacher, Reporter& reporter) {
  const double expected = measured_kl(join_path(request.places.work_directory, work_names::measured));
  const OpenModel output = open_model(partial_folder(request.places.output));
  const std::array<LaneSpec, 2> lanes = {LaneSpec{.model = &output, .still = true},
                                         LaneSpec{.model = &output, .inputs = served_by(request.mixed.runtime)}};
  DivergenceMeters meters(lanes.size(), windows);
  try {
    run_forward({.lanes = lanes,
                 .tokens = windows.inputs,
                 .still = &teacher,
                 .threads = plan.sweeps.back().cut.cut.threads,
                 .max_memory = plan.allowed_memory.value_or(0),
                 .device = request.machine.device,
                 .io = request.machine.io,
                 .stop = request.stop},
                meters, reporter);
  } catch (const Error& error) {
    if (error.fault != Fault::interrupted) throw;
    fail(Fault::resumable, "stopped while {} was read back", request.places.output);
  }
  const double found = meters.of_lane(1).kl_mean;
  if (std::abs(found - expected) > relative_tolerance * std::abs(expected) + absolute_tolerance)
    fail(Fault::check,
         "{}: read back, its KL is {:.6g} nats a token, but it was measured as {:.6g} while it was written: a disk or "
         "memory that fails, or a bug of ours; it stays in {}",
         request.places.output, found, expected, partial_folder(request.places.output));
  reporter.decision("measured", fmt::format("read back, the output has the KL that was measured: {:.6g}, {:.1g} off",
                                            found, std::abs(found - expected)));
}

}  // namespace strata
