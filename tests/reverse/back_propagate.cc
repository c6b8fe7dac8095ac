#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "tests/reverse/back_propagate.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "base/file.h"
#include "engine/passes/back_through.h"
#include "engine/sweep/pass.h"

namespace strata::test {
namespace {

class BackPropagate final : public Pass {
 public:
  void part(Desk& desk) override {
    Lanes& lanes = desk.advance(cotangents);
    switch (desk.part().kind) {
      case Part::Kind::head:
      case Part::Kind::logits:
        if (desk.part().first) take_given(desk, lanes);
        break;
      case Part::Kind::mixer:
        back_.begin_layer(desk, lanes);
        break;
      case Part::Kind::mlp:
      case Part::Kind::experts:
        back_.add_part(desk, lanes, {});
        break;
      default:
        break;
    }
  }

  void end(Desk& desk) override {
    Lanes& lanes = desk.advance(cotangents);
    if (desk.visit().kind == Visit::Kind::layer) back_.end_layer(desk, lanes, {});
    if (desk.visit().kind == Visit::Kind::head) leave(lanes);
    if (desk.visit().kind == Visit::Kind::embedding) write_found(desk, lanes);
  }

 private:
  static std::string file(const Desk& desk, const char* name) {
    return join_path(desk.tools().question.request.places.work_directory, name);
  }

  static void take_given(const Desk& desk, Lanes& lanes) {
    const InputFile in(file(desk, given_file));
    std::uint64_t at = 0;
    for (std::size_t k = 0; k < lanes.count(); ++k)
      for (std::int64_t block = 0; block < lanes.shape().blocks(); ++block) {
        std::vector<float> values(lanes.shape().values_in(block));
        in.read_at(at, std::as_writable_bytes(std::span(values)));
        lanes.states(k).store(block, values);
        at += values.size() * sizeof(float);
      }
  }

  // What leaves the last layer, unchanged.
  static void leave(const Lanes& lanes) {
    for (std::size_t k = 0; k < lanes.count(); ++k)
      for (std::int64_t block = 0; block < lanes.shape().blocks(); ++block) {
        at::Tensor values = lanes.states(k).load(block);
        if (const Finish keep = lanes.leave(k, block, values)) keep();
      }
  }

  static void write_found(const Desk& desk, const Lanes& lanes) {
    OutputFile out(file(desk, found_file), lanes.count() * float_bytes(lanes.shape()));
    std::uint64_t at = 0;
    for (std::size_t k = 0; k < lanes.count(); ++k)
      for (std::int64_t block = 0; block < lanes.shape().blocks(); ++block) {
        const at::Tensor values = lanes.states(k).load(block).contiguous();
        out.write_at(at, {static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
        at += values.nbytes();
      }
    out.sync();
  }

  BackThrough back_;
};

}  // namespace

extern const PassType back_propagate{
    .name = "back_propagate",
    .summary = "takes cotangents back through the layer",
    .direction = Direction::reverse,
    .reads = {&facts::weights, &facts::source, &facts::boundary, &cotangents},
    .writes = {&cotangents},
    .cost = [](const CostQuestion& question,
               CostSheet& sheet) { BackThrough::add_cost(question, question.states_of(cotangents), sheet); },
    .lanes = [](const PassQuestion&) { return cotangent_sets; },
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<BackPropagate>(); },
};

}  // namespace strata::test
