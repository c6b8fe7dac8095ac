// The interpreter against transformers on tiny random models: tests/golden/models/README.md.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "formats/checkpoint/safetensors.h"
#include "profiles/layer_questions.h"
#include "tests/support/source_folder.h"
#include "tests/support/whole_visit.h"

namespace strata {
namespace {

// Largest |difference| over largest |reference|. Both sides compute in float32, in another order of sums.
constexpr double tolerance = 2e-5;

double distance(const at::Tensor& got, const at::Tensor& reference) {
  REQUIRE(got.sizes() == reference.sizes());
  return ((got - reference).abs().max() / reference.abs().max()).item<double>();
}

at::Tensor read_tensor(const std::string& path, std::string_view name) {
  const InputFile file(path);
  std::array<std::byte, 8> prefix{};
  file.read_at(0, prefix);
  std::string header(safetensors_header_bytes(prefix, file.size(), path), '\0');
  file.read_at(8, std::as_writable_bytes(std::span(header)));
  for (const TensorInfo& info : parse_safetensors(prefix, header, file.size(), path)) {
    if (info.name != name) continue;
    at::Tensor tensor = at::empty(info.shape, info.dtype == Dtype::i64 ? at::kLong : at::kFloat);
    file.read_at(info.offset, {static_cast<std::byte*>(tensor.mutable_data_ptr()), info.bytes});
    return tensor;
  }
  fail(Fault::bug, "{}: no tensor {}", path, name);
}

// A tiny model, what transformers computed from it, and one visit's weights at a time.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : folder_(test::in_source("tests/golden/models/") + name), model_(open_model(folder_)), visits_(model_.visits) {}

  const OpenModel& model() const { return model_; }
  std::span<const Visit> layers() const { return std::span(visits_).subspan(1, visits_.size() - 2); }
  const Visit& embedding() const { return visits_.front(); }
  const Visit& head() const { return visits_.back(); }
  at::Tensor reference(std::string_view name) const {
    return read_tensor(join_path(folder_, "golden.safetensors"), name);
  }

  const LayerWeights& load(const Visit& visit) {
    const Part part = test::whole_visit(model_, visit);
    bytes_.load(model_, part, *reader_);
    weights_.load(model_, part, bytes_, DecodeAs::f32);
    return weights_;
  }
  const LayerBytes& bytes() const { return bytes_; }

 private:
  std::string folder_;
  OpenModel model_;
  std::vector<Visit> visits_;
  Budget memory_{"memory", 1u << 30};
  std::unique_ptr<Reader> reader_ = make_reader(IoMethod::pread);
  LayerBytes bytes_{memory_};
  LayerWeights weights_{memory_};
};

at::Tensor run(Golden& golden, const Visit& visit, const at::Tensor& x, SiteObserver* observer = nullptr) {
  const LayerWeights& weights = golden.load(visit);
  LinearSite site(weights, ActivationMode::none, observer);
  return run_layer(*visit.layer, weights, site, x);
}

at::Tensor embedded(Golden& golden) {
  const at::Tensor ids = golden.reference("input_ids");
  golden.load(golden.embedding());
  std::vector<TokenId> tokens;
  for (std::int64_t i = 0; i < ids.numel(); ++i)
    tokens.push_back(static_cast<TokenId>(ids.const_data_ptr<std::int64_t>()[i]));
  at::Tensor x = at::empty({ids.size(0), ids.size(1), golden.model().spec->hidden}, at::kFloat);
  embed(golden.model(), golden.bytes().bytes(*golden.embedding().kept.front()), 0, DecodeAs::f32, tokens,
        {x.mutable_data_ptr<float>(), static_cast<std::size_t>(x.numel())});
  return x;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : list_directory(test::in_source("tests/golden/models")))
    if (entry.is_directory) names.push_back(entry.name);
  return names;
}

class RouterInput final : public SiteObserver {
 public:
  explicit RouterInput(const MoeSpec& moe) : moe_(moe) {}
  void see(const LinearSpec& linear, const at::Tensor& x) override {
    if (&linear == &moe_.router) input = x.clone();
  }
  at::Tensor input;

 private:
  const MoeSpec& moe_;
};

TEST_CASE("there is a tiny model for every branch of the families", "[golden]") { CHECK(model_names().size() == 9); }

TEST_CASE("embeddings are the rows that transformers looks up", "[golden]") {
  Golden golden(GENERATE(from_range(model_names())));
  CHECK(distance(embedded(golden), golden.reference("boundary")[0]) == 0);
}

TEST_CASE("each layer makes the reference's output from the reference's input", "[golden]") {
  const std::string name = GENERATE(from_range(model_names()));
  Golden golden(name);
  const at::Tensor boundary = golden.reference("boundary");
  for (std::size_t i = 0; i < golden.layers().size(); ++i) {
    INFO(name << " layer " << i);
    const auto layer = static_cast<std::int64_t>(i);
    CHECK(distance(run(golden, golden.layers()[i], boundary[layer]), boundary[layer + 1]) <= tolerance);
  }
}

TEST_CASE("a whole model gives the reference's logits", "[golden]") {
  const std::string name = GENERATE(from_range(model_names()));
  INFO(name);
  Golden golden(name);
  at::Tensor x = embedded(golden);
  for (const Visit& visit : golden.layers()) x = run(golden, visit, x);
  const LayerWeights& weights = golden.load(golden.head());
  LinearSite site(weights, ActivationMode::none);
  const at::Tensor logits = head_logits(*golden.model().spec, weights, site, x);
  CHECK(distance(logits, golden.reference("logits")) <= tolerance);
}

TEST_CASE("routers choose the experts that the reference chose", "[golden]") {
  const std::string name = GENERATE("qwen3-moe", "qwen3-moe-plain", "qwen3-moe-step");
  Golden golden(name);
  const at::Tensor boundary = golden.reference("boundary"), chosen = golden.reference("router_ids");
  int routers = 0;
  for (std::size_t i = 0; i < golden.layers().size(); ++i) {
    const Visit& visit = golden.layers()[i];
    const auto layer = static_cast<std::int64_t>(i);
    const MoeSpec* moe = experts_of(*visit.layer);
    REQUIRE((moe == nullptr) == (chosen[layer].max().item<std::int64_t>() < 0));
    if (!moe) continue;
    INFO(name << " layer " << i);
    RouterInput seen(*moe);
    run(golden, visit, boundary[layer], &seen);
    LinearSite site(golden.load(visit), ActivationMode::none);
    at::Tensor ids, weights;
    route(*moe, site, seen.input, ids, weights);
    CHECK(std::get<0>(ids.sort(-1)).equal(chosen[layer]));
    ++routers;
  }
  CHECK(routers == (name == "qwen3-moe" ? 2 : 1));
}

TEST_CASE("a sample's output does not depend on its neighbours in the batch", "[golden]") {
  const std::string name = GENERATE(from_range(model_names()));
  INFO(name);
  Golden golden(name);
  const at::Tensor x = golden.reference("boundary")[1];
  const Visit& visit = golden.layers()[1];
  const at::Tensor together = run(golden, visit, x);
  CHECK(distance(run(golden, visit, x.narrow(0, 1, 1)), together.narrow(0, 1, 1)) <= 1e-6);
}

}  // namespace
}  // namespace strata
