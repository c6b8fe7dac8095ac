#include "bench/sweep/transfer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "base/bytes.h"
#include "engine/graph/facts.h"
#include "engine/sweep/memory_plan.h"

namespace strata::bench {
namespace {

constexpr std::size_t most_waiting = 16;  // jobs of the writer, as in a run

void fill(std::span<std::byte> memory, std::mt19937_64& random) {
  for (std::size_t i = 0; i < memory.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(memory.data() + i, &word, std::min(sizeof word, memory.size() - i));
  }
}

std::uint64_t largest_tensor(const OutputPlan& output) {
  std::uint64_t largest = 0;
  for (std::size_t i = 0; i < output.slots.size(); ++i) largest = std::max(largest, output.slots[i].bytes);
  return largest;
}

void drop_source(const Checkpoint& source) {
  for (const InputFile& file : source.files()) file.drop(0, file.size());
}

}  // namespace

Transfer::Transfer(const RunPlan& plan, const QuantizeRequest& options, SweepLog& log)
    : plan_(plan),
      options_(options),
      log_(log),
      memory_("memory", std::numeric_limits<std::uint64_t>::max()),
      parts_(cut_run(plan.question(options), plan.sweeps.front().passes, plan.sweeps.front().cut.cut.limits)),
      noise_(largest_tensor(*plan.output)) {
  std::mt19937_64 random(1);
  fill(noise_, random);
  if (!plan.sweeps.front().moving.empty()) make_states(plan.sweeps.front().cut.cut.threads);
  const Checkpoint& source = plan.model.checkpoint;
  const IoMethod method =
      options.machine.io == IoMethod::automatic ? choose_io(source.files()).method : options.machine.io;
  reader_ = make_reader(method);
  note_ += fmt::format("read by {}", io_name(method));
  drop_source(source);
}

// Normals compress about as hidden states do: their exponents a little, the rest not.
void Transfer::make_states(int threads) {
  const BoundaryShape& shape = plan_.sweeps.front().moving.front().shape;
  std::mt19937_64 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> values(shape.values_in(0));
  for (float& value : values) value = normal(random);
  constexpr std::size_t sample = 1u << 20, fewest = 1u << 16;  // as a run chooses
  if (values.size() >= fewest)
    codec_ = log_.choose_codec(std::span(values).first(std::min(sample, values.size())), threads).codec;
  const std::shared_ptr<PendingBoundary> file = log_.keep_states(facts::boundary, 0, 0, codec_);
  std::uint64_t bytes = 0;
  for (std::int64_t block = 0; block < shape.blocks() && file != nullptr; ++block) {
    file->writer().encode(block, std::span(values).first(shape.values_in(block)), states_.emplace_back());
    bytes += states_.back().bytes;
  }
  note_ = fmt::format("hidden states {} a layer, ", human_bytes(bytes));
}

void Transfer::run() {
  sink_ = std::make_unique<ShardSink>(*plan_.output, options_.places.output, memory_,
                                      SinkOptions{.mode = plan_.write_mode});
  for (int i = 0; i < plan_.sweeps.front().cut.cut.slots; ++i) slots_.add(std::make_unique<LayerBytes>(memory_));
  writer_ = std::make_unique<WriteBehind>(most_waiting);
  std::shared_ptr<PendingBoundary> leaving;
  for (const Part& part : parts_) {
    if (part.first) leaving = log_.keep_states(facts::boundary, 0, part.visit_index, codec_);
    const Slot slot = slots_.take();
    slot->load(plan_.model, part, *reader_);
    write_part(part, slot);
    if (part.last) commit(part, std::exchange(leaving, nullptr));
  }
  writer_->drain();
  sink_->complete(plan_.model.checkpoint);
  sink_->publish(options_.places.force);
}

// Tensors that a run would encode, or copy code by code.
std::vector<OutputPiece> Transfer::encoded(const Part& part) {
  std::vector<OutputPiece> pieces;
  for (const LinearSpec* linear : part.linears) {
    const NumberFormat& format = plan_.assignment->of(*linear);
    const LinearPlan& plan = plan_.model.linear(*linear);
    std::size_t slot = plan_.output->linears.at(linear->index);
    for (const Field& field : written_fields(plan, *plan_.assignment)) {
      const bool late = format.encode_input_scale != nullptr && !plan_.assignment->copies(*linear) &&
                        field.suffix == format.input_scale_suffix;
      (late ? late_ : pieces).push_back({.slot = slot++, .bytes = std::span(noise_).first(field_bytes(field))});
    }
  }
  return pieces;
}

void Transfer::write_part(const Part& part, const Slot& slot) {
  std::vector<OutputPiece> pieces = encoded(part);
  const Checkpoint& source = plan_.model.checkpoint;
  for (const TensorInfo* tensor : part.kept)
    pieces.push_back({.slot = plan_.output->slot_of(source, *tensor), .bytes = slot->bytes(*tensor)});
  if (part.kind == Part::Kind::copy) {
    const TensorPiece& piece = part.pieces.front();
    pieces.push_back(
        {.slot = plan_.output->slot_of(source, *piece.tensor), .skip = piece.skip, .bytes = slot->pieces().front()});
  }
  writer_->push([this, slot, pieces = std::move(pieces)] { sink_->write(pieces); });
}

void Transfer::keep_states(const std::shared_ptr<PendingBoundary>& file) {
  for (const EncodedBlock& block : states_) writer_->push([file, &block] { file->writer().append(block); });
}

void Transfer::commit(const Part& part, const std::shared_ptr<PendingBoundary>& leaving) {
  if (leaving) keep_states(leaving);
  if (!late_.empty()) writer_->push([this, pieces = std::exchange(late_, {})] { sink_->write(pieces); });
  VisitRecord record{.visit = part.visit_index, .name = part.visit->name, .key = log_.key(part.visit_index)};
  writer_->wait(committing_);
  committing_ = writer_->push([this, leaving, record = std::move(record)] {
    SweepLog::Results results{.sink = sink_.get()};
    if (leaving) results.states.push_back(leaving);
    log_.commit(record, results);
  });
}

}  // namespace strata::bench
