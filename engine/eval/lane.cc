#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/eval/lane.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "base/timer.h"
#include "engine/device/torch_errors.h"
#include "engine/model/layer.h"
#include "engine/model/layer_weights.h"
#include "engine/source/layer_bytes.h"

namespace strata {
namespace {

// Logits that all lanes hold at once.
constexpr std::uint64_t logits_memory = 64u << 20;

void forward_layer(Lane& lane, const Visit& visit, const LayerWeights& weights, const StopFlag* stop) {
  advance(lane.boundary, stop, [&](std::int64_t, const at::Tensor& x, Finish&) {
    LinearSite site(weights, lane.activations);
    return run_layer(*visit.layer, weights, site, x);
  });
}

// Loads one visit of a model for the lanes that need it, once for each way of decoding.
class LoadedVisit {
 public:
  explicit LoadedVisit(Budget& memory) : bytes_(memory), weights_(memory) {}
  void load(const OpenModel& model, const Visit& visit) {
    part_ = whole_visit(model, visit);
    bytes_.load(model, part_, *reader_);
    model_ = &model;
    decoded_ = false;
  }
  const LayerBytes& bytes() const { return bytes_; }
  const Part& part() const { return part_; }
  const LayerWeights& weights(DecodeAs decode) {
    if (!decoded_ || decode != decode_) weights_.load(*model_, part_, bytes_, decode);
    decoded_ = true;
    decode_ = decode;
    return weights_;
  }

 private:
  const std::unique_ptr<Reader> reader_ = make_reader(IoMethod::pread);
  LayerBytes bytes_;
  LayerWeights weights_;
  const OpenModel* model_ = nullptr;
  Part part_;
  bool decoded_ = false;
  DecodeAs decode_ = DecodeAs::f32;
};

// A model and the lanes that run through it.
struct Traffic {
  const OpenModel* model;
  std::vector<Lane*> lanes;
  std::unique_ptr<LoadedVisit> loaded;
};

std::vector<Traffic> by_model(std::vector<Lane>& lanes, Budget& memory) {
  std::vector<Traffic> traffic;
  for (Lane& lane : lanes) {
    const auto found = std::ranges::find(traffic, lane.model, &Traffic::model);
    Traffic& mine = found != traffic.end()
                        ? *found
                        : traffic.emplace_back(Traffic{
                              .model = lane.model, .lanes = {}, .loaded = std::make_unique<LoadedVisit>(memory)});
    mine.lanes.push_back(&lane);
  }
  for (const Traffic& t : traffic)
    if (t.model->visits.size() != traffic[0].model->visits.size())
      fail(Fault::input, "{} has {} layers but {} has {}; they cannot be compared", t.model->checkpoint.directory(),
           t.model->spec->layers.size(), traffic[0].model->checkpoint.directory(),
           traffic[0].model->spec->layers.size());
  return traffic;
}

void run_visit(Traffic& traffic, const Visit& visit, const TokenRows& tokens, const StopFlag* stop) {
  traffic.loaded->load(*traffic.model, visit);
  for (Lane* lane : traffic.lanes) {
    if (visit.kind == Visit::Kind::embedding)
      embed(*traffic.model, traffic.loaded->bytes().bytes(*visit.kept.front()), 0, lane->decode, tokens.ids,
            lane->boundary.values(0, tokens.rows));
    else
      forward_layer(*lane, visit, traffic.loaded->weights(lane->decode), stop);
  }
}

// How many positions' logits all lanes hold at the same time.
std::int64_t positions_at_once(std::int64_t vocabulary, std::size_t lanes) {
  const auto bytes = static_cast<std::int64_t>(lanes * sizeof(float)) * vocabulary;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(logits_memory) / bytes);
}

// Logits of the positions that start at `first`, as many as `out` has rows.
void lane_logits(const Lane& lane, const LayerWeights& weights, std::int64_t first, std::span<float> out) {
  const std::int64_t vocabulary = lane.model->spec->vocabulary;
  const at::Tensor all = lane.boundary.samples(0, lane.boundary.shape().samples);
  const at::Tensor hidden = all.view({-1, all.size(2)});
  const at::Tensor target =
      at::from_blob(out.data(), {static_cast<std::int64_t>(out.size()) / vocabulary, vocabulary}, at::kFloat);
  // At most 128 rows a block, fewer when a large vocabulary leaves few positions to share among the threads.
  const std::int64_t block = std::clamp<std::int64_t>(target.size(0) / 16, 4, 128);
  for_each_block(target.size(0), block, [&](std::int64_t row, std::int64_t count) {
    LinearSite site(weights, lane.activations);
    target.narrow(0, row, count)
        .copy_(head_logits(*lane.model->spec, weights, site, hidden.narrow(0, first + row, count)));
  });
}

// The last visit: all lanes' logits for the same positions, chunk by chunk.
void run_heads(std::vector<Traffic>& traffic, std::vector<Lane>& lanes, const TokenRows& tokens, Budget& memory,
               const StopFlag* stop, const LogitsReader& reader) {
  std::vector<std::unique_ptr<LayerWeights>> weights;  // one a lane: two ways of decoding one head differ
  for (Lane& lane : lanes) {
    Traffic& mine = *std::ranges::find(traffic, lane.model, &Traffic::model);
    if (mine.lanes[0] == &lane) mine.loaded->load(*mine.model, mine.model->visits.back());
    weights.push_back(std::make_unique<LayerWeights>(memory));
    weights.back()->load(*lane.model, mine.loaded->part(), mine.loaded->bytes(), lane.decode);
  }
  const std::int64_t positions = tokens.rows * tokens.columns;
  const std::int64_t vocabulary = lanes[0].model->spec->vocabulary;
  const std::int64_t step = std::min(positions, positions_at_once(vocabulary, lanes.size()));
  const Lease room =
      memory.take(lanes.size() * static_cast<std::uint64_t>(step * vocabulary) * sizeof(float), "logits");
  std::vector<std::vector<float>> logits(lanes.size(), std::vector<float>(static_cast<std::size_t>(step * vocabulary)));
  for (std::int64_t first = 0; first < positions; first += step) {
    check_interrupt(stop);
    const std::int64_t count = std::min(step, positions - first);
    std::vector<std::span<const float>> views;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const std::span<float> out = std::span(logits[i]).first(static_cast<std::size_t>(count * vocabulary));
      lane_logits(lanes[i], *weights[i], first, out);
      views.emplace_back(out);
    }
    reader(first, views);
  }
}

}  // namespace

LaneMemory::LaneMemory(std::uint64_t limit)
    : budget("memory", limit > 0 ? limit : usable_memory_bytes()),
      program(budget.take(resident_bytes(), "the program itself")),
      tensors(budget) {}

static void stream_lanes(std::vector<Lane>& lanes, const TokenRows& tokens, Budget& memory, Reporter& reporter,
                         const StopFlag* stop, const LogitsReader& reader) {
  std::vector<Traffic> traffic = by_model(lanes, memory);
  const std::size_t total = traffic[0].model->visits.size();
  reporter.pass_start({.name = "forward", .layers = static_cast<int>(total)});
  for (std::size_t i = 0; i < total; ++i) {
    check_interrupt(stop);
    const Timer timer;
    const Visit& visit = traffic[0].model->visits[i];
    if (visit.kind == Visit::Kind::head)
      run_heads(traffic, lanes, tokens, memory, stop, reader);
    else
      for (Traffic& t : traffic) run_visit(t, t.model->visits[i], tokens, stop);
    LayerDone done{
        .index = static_cast<int>(i), .total = static_cast<int>(total), .name = visit.name, .kind = visit.kind_name()};
    for (const Traffic& t : traffic) done.bytes_read += t.loaded->bytes().loaded_bytes();
    done.seconds = timer.seconds();
    done.resident = resident_bytes();
    reporter.layer_done(done);
  }
}

void run_lanes(std::vector<Lane>& lanes, const TokenRows& tokens, Budget& memory, Reporter& reporter,
               const StopFlag* stop, const LogitsReader& reader) {
  with_torch_errors([&] { stream_lanes(lanes, tokens, memory, reporter, stop, reader); });
}

}  // namespace strata
