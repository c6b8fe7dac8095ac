#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/eval/read_logits.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model/layer.h"
#include "engine/passes/forward_cost.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

// Logits of one lane that a block holds at once are these many rows.
constexpr std::int64_t most_rows = 256;

// What a model's lanes are multiplied with until the next piece of its head comes.
struct Head {
  std::vector<float> norm, bias;
  std::optional<DeviceBuffer> rows;                // of a dense head, decoded
  std::shared_ptr<const LayerWeights> coded = {};  // or all of it
  std::int64_t first = 0, end = 0;
};

class ReadLogits final : public Pass {
 public:
  explicit ReadLogits(LogitsReader& reader) : reader_(reader) {}

  void part(Desk& desk) override {
    if (desk.part().kind != Part::Kind::logits) return;
    const Lanes& lanes = desk.get(facts::boundary);
    take(desk);
    // Once the piece of the last model is there, all lanes have the same columns.
    if (&desk.model() != lanes.spec(lanes.count() - 1).model) return;
    std::int64_t end = heads_.begin()->second.end;
    for (const auto& [model, head] : heads_)
      if (head.first != heads_.begin()->second.first || head.end != end)
        fail(Fault::bug, "logits: pieces of two heads do not lie beside each other");
    const StageTimes::Span time(&desk.tools().times, Stage::forward);
    visit_blocks(lanes.shape().blocks(), desk.tools().stop, Grad::off, [&](std::int64_t block) {
      read_block(lanes, block);
      return Finish();
    });
  }

 private:
  void take(Desk& desk) {
    const Part& part = desk.part();
    const LayerBytes& stored = desk.get(facts::source).bytes;
    Head& head = heads_[&desk.model()];
    head.first = part.first_row;
    head.end = part.end_row;
    head.norm = vector_of(desk, *part.kept.at(0));
    if (part.kept.size() > 1) head.bias = vector_of(desk, *part.kept.at(1));
    if (!part.linears.empty()) {
      head.coded = desk.share(facts::weights);
      return;
    }
    const ModelSpec& spec = *desk.model().spec;
    const auto matrix = std::ranges::find_if(part.pieces, [&](const TensorPiece& piece) {
      return std::ranges::find(part.kept, piece.tensor) == part.kept.end();
    });
    const auto count = static_cast<std::size_t>((head.end - head.first) * spec.hidden);
    const Device& device = device_.emplace(desk.tools().device);
    if (!head.rows) head.rows.emplace(device.take("decoded weights"));
    head.rows->grow(count * sizeof(float));
    device.write(*head.rows, 0, count * sizeof(float), [&](std::span<std::byte> room) {
      const std::span<float> values(reinterpret_cast<float*>(room.data()), count);
      widen(matrix->tensor->dtype, stored.bytes(*matrix), values);
      if (desk.decode_as() == DecodeAs::bf16) round_to_bf16(values);
    });
  }

  static std::vector<float> vector_of(const Desk& desk, const TensorInfo& tensor) {
    std::vector<float> values(element_count(tensor.shape).value());
    widen(tensor.dtype, desk.get(facts::source).bytes.bytes(tensor), values);
    if (desk.decode_as() == DecodeAs::bf16) round_to_bf16(values);
    return values;
  }

  void read_block(const Lanes& lanes, std::int64_t block) const {
    const BoundaryShape& shape = lanes.shape();
    const std::int64_t start = block * shape.samples_per_block * shape.tokens;
    const std::int64_t rows = shape.samples_in(block) * shape.tokens;
    std::vector<at::Tensor> states;
    for (std::size_t i = 0; i < lanes.count(); ++i) states.push_back(lanes.states(i).load(block).view({rows, -1}));
    for (std::int64_t row = 0; row < rows; row += most_rows) {
      const std::int64_t count = std::min(most_rows, rows - row);
      std::vector<at::Tensor> logits;
      std::vector<std::span<const float>> views;
      for (std::size_t i = 0; i < lanes.count(); ++i) {
        logits.push_back(multiply(lanes.spec(i), states[i].narrow(0, row, count)).contiguous());
        views.emplace_back(logits[i].const_data_ptr<float>(), static_cast<std::size_t>(logits[i].numel()));
      }
      const Head& head = heads_.begin()->second;
      reader_.read({.first = start + row,
                    .count = count,
                    .column = head.first,
                    .columns = head.end - head.first,
                    .lanes = views});
    }
  }

  at::Tensor multiply(const LaneSpec& lane, const at::Tensor& x) const {
    const ModelSpec& spec = *lane.model->spec;
    const Head& head = heads_.at(lane.model);
    const auto as_tensor = [](const auto& values, at::IntArrayRef shape) {
      return at::from_blob(const_cast<float*>(std::data(values)), shape, at::kFloat);
    };
    const at::Tensor input = head_input(spec, as_tensor(head.norm, {spec.hidden}), x);
    if (head.coded != nullptr) {
      LinearSite site(*head.coded, lane.inputs);
      return site(spec.head, input);
    }
    const std::array<std::int64_t, 2> shape = {head.end - head.first, spec.hidden};
    std::optional<at::Tensor> bias;
    if (!head.bias.empty()) bias = as_tensor(head.bias, {spec.head.out}).narrow(0, head.first, head.end - head.first);
    return at::linear(input, device_->view(*head.rows, 0, shape), bias);
  }

  LogitsReader& reader_;
  std::optional<Device> device_;  // where rows of heads lie
  std::unordered_map<const OpenModel*, Head> heads_;
};

std::uint64_t head_bytes(const PassQuestion&, const Part& part) {
  if (part.kind != Part::Kind::logits) return 0;  // a coded one stays while that of the next model is decoded
  return static_cast<std::uint64_t>((part.end_row - part.first_row) * part.model->spec->hidden) * sizeof(float);
}

std::uint64_t columns_bytes(const PassQuestion&, const Part& part) {
  if (part.kind != Part::Kind::logits) return 0;
  return static_cast<std::uint64_t>(part.end_row - part.first_row) * sizeof(float);
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  const std::uint64_t rows = std::min<std::uint64_t>(
      static_cast<std::uint64_t>(question.states.samples_per_block * question.states.tokens), most_rows);
  sheet.add(Resource::host, "weights", question.lanes * question.sizes.largest(head_bytes));
  // The product and what is made of it, of every lane.
  sheet.add(Resource::host, "logits",
            2 * question.blocks_alive() * question.lanes * rows * question.sizes.largest(columns_bytes));
}

}  // namespace

extern const PassType read_logits{
    .name = "read_logits",
    .summary = "makes the logits of all positions",
    .version = 1,
    .reads = {&facts::source, &facts::boundary},
    .uses = {&facts::weights},
    .cost = cost,
    .make = [](const PassQuestion& question, const Cut&) -> std::unique_ptr<Pass> {
      return std::make_unique<ReadLogits>(*question.reader);
    },
};

}  // namespace strata
