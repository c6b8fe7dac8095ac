#include "engine/eval/forward_run.h"

#include <tbb/task_arena.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/device/tensor_memory.h"
#include "engine/eval/read_logits.h"
#include "engine/graph/facts.h"
#include "engine/sweep/memory_plan.h"
#include "engine/sweep/sweep.h"

namespace strata {
namespace {

using Models = std::vector<const OpenModel*>;

// In the order of their first lanes.
Models models_of(std::span<const LaneSpec> lanes) {
  Models models;
  for (const LaneSpec& lane : lanes)
    if (std::ranges::find(models, lane.model) == models.end()) models.push_back(lane.model);
  return models;
}

void require_alike(const Models& models) {
  const ModelSpec& first = *models.front()->spec;
  for (const OpenModel* model : models) {
    const auto refuse = [&](std::string_view what, auto here, auto there) {
      fail(Fault::input, "{} has {} {} but {} has {}; they cannot be compared", model->checkpoint.directory(), here,
           what, models.front()->checkpoint.directory(), there);
    };
    if (model->spec->layers.size() != first.layers.size())
      refuse("layers", model->spec->layers.size(), first.layers.size());
    if (model->spec->hidden != first.hidden) refuse("hidden channels", model->spec->hidden, first.hidden);
  }
}

// Visit by visit, the parts of each model; pieces of heads lie beside each other.
std::vector<Part> cut_models(const Models& models, PartLimits limits, std::uint64_t piece_bytes) {
  limits.piece_bytes = piece_bytes;
  const bool whole_head = std::ranges::any_of(models, [](const OpenModel* model) { return !has_dense_head(*model); });
  std::vector<Part> parts;
  for (std::size_t i = 0; i < models.front()->visits.size(); ++i) {
    if (models.front()->visits[i].kind == Visit::Kind::section) continue;  // no forward looks into it
    std::vector<std::vector<Part>> of_models;
    for (const OpenModel* model : models) of_models.push_back(cut_forward(*model, i, whole_head, limits));
    if (models.front()->visits[i].kind != Visit::Kind::head) {
      for (std::vector<Part>& some : of_models) parts.insert(parts.end(), some.begin(), some.end());
      continue;
    }
    for (std::size_t piece = 0; piece < of_models.front().size(); ++piece)
      for (std::vector<Part>& some : of_models) parts.push_back(some.at(piece));
  }
  return parts;
}

std::string limit_that_works(std::uint64_t peak) {
  constexpr std::uint64_t mib = 1u << 20;
  return fmt::format("{}MiB", align_up(peak, mib) / mib + 1);
}

void require_fit(std::uint64_t peak, std::uint64_t limit, bool asked) {
  if (peak <= limit) return;
  if (!asked)
    fail(Fault::budget, "memory: the run needs {} but {} are available; fewer tokens (--max-tokens) need less",
         human_bytes(peak), human_bytes(limit));
  fail(Fault::budget, "memory: the run needs {} but --max-memory is {}; the smallest limit that works is {}",
       human_bytes(peak), human_bytes(limit), limit_that_works(peak));
}

// A folder of hidden states, made for them.
class Scratch {
 public:
  explicit Scratch(const std::string& folder) : folder_(folder) {
    if (!folder.empty() && (exists(folder) || is_link(folder)))
      fail(Fault::usage, "--scratch {}: exists already; name a new folder, which goes when the run ends", folder);
  }
  ~Scratch() {
    try {
      if (next_ > 0) remove_tree(folder_);
    } catch (const Error&) {
      // It is a folder of scratch files; nobody takes it for something else.
    }
  }
  std::string next() {
    if (next_ == 0) make_directory(folder_);
    return join_path(folder_, fmt::format("states.{}", next_++));
  }

 private:
  const std::string folder_;
  int next_ = 0;
};

}  // namespace

void run_forward(const ForwardOptions& options, LogitsReader& reader, Reporter& reporter) {
  Scratch scratch(options.scratch_folder);
  const Models models = models_of(options.lanes);
  require_alike(models);
  const QuantizeRequest request;
  const PassQuestion question{.model = *models.front(), .request = request, .learns = true, .reader = &reader};
  const std::vector<const PassType*> passes = {&pass_type("decode"), &pass_type("propagate"), &read_logits};
  const std::vector<SweepPlan> sweeps = plan_sweeps(passes, {});
  const BoundaryShape shape = boundary_shape(options.tokens.rows, options.tokens.columns, models.front()->spec->hidden);
  const std::uint64_t limit = options.max_memory > 0 ? options.max_memory : usable_memory_bytes();
  const CutPlan plan =
      plan_memory({.pass = question,
                   .sweep = sweeps.front(),
                   .states = shape,
                   .lanes = options.lanes.size(),
                   .cut = [&](const PartLimits& limits) { return cut_models(models, limits, options.piece_bytes); },
                   .scratch = !options.scratch_folder.empty(),
                   .threads = options.threads,
                   .base = resident_bytes()},
                  limit);
  require_fit(plan.memory.peak(), limit, options.max_memory > 0);

  Budget memory("memory", std::max(limit, plan.memory.peak()));
  const Lease base = memory.take(plan.memory.base, "the program itself");
  const Lease reserved = memory.take(plan.memory.sheet.reserved(), "libraries");
  const TensorMemoryLimit tensors(memory);
  const Device device(memory);
  const auto make_states = [&]() -> Boundary {
    if (plan.cut.in_memory) return {shape, device};
    return {shape, device, scratch.next()};
  };
  FactBoard board;
  const auto lanes = std::make_shared<Lanes>();
  for (const LaneSpec& lane : options.lanes) lanes->add(lane, make_states());
  board.put(facts::boundary, lanes);
  const std::unique_ptr<Reader> source = make_reader(
      options.io == IoMethod::automatic ? choose_io(models.front()->checkpoint.files()).method : options.io);
  WriteBehind writer(1);
  StageTimes times;
  const Tools tools{.question = question,
                    .memory = memory,
                    .device = device,
                    .threads = plan.cut.threads,
                    .writer = writer,
                    .times = times,
                    .tokens = &options.tokens,
                    .more_states = make_states,
                    .stop = options.stop};
  const std::vector<Part> parts = cut_models(models, plan.cut.limits, options.piece_bytes);
  const SweepOptions how{.plan = sweeps.front(),
                         .cut = plan.cut,
                         .parts = parts,
                         .visits = models.front()->visits.size(),
                         .reader = *source};
  tbb::task_arena arena(plan.cut.threads);
  arena.execute([&] { sweep(how, tools, board, reporter); });
}

}  // namespace strata
