// Logits of several models on one road: in pieces as whole, in memory as in a file, and within a budget.
#include "engine/eval/forward_run.h"

#include <array>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <vector>

#include "base/file.h"
#include "base/memory.h"
#include "engine/device/compute.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;

namespace {

// Of every lane, [positions, vocabulary], and how many pieces they came in.
struct Collected final : LogitsReader {
  Collected(std::size_t lanes, std::int64_t rows, std::int64_t columns)
      : vocabulary(columns), logits(lanes, std::vector<float>(static_cast<std::size_t>(rows * columns))) {}

  void read(const LogitsPiece& piece) override {
    if (piece.first == 0) ++pieces;
    for (std::size_t lane = 0; lane < logits.size(); ++lane)
      for (std::int64_t row = 0; row < piece.count; ++row)
        for (std::int64_t c = 0; c < piece.columns; ++c)
          logits[lane][static_cast<std::size_t>((piece.first + row) * vocabulary + piece.column + c)] =
              piece.lanes[lane][static_cast<std::size_t>(row * piece.columns + c)];
  }

  std::int64_t vocabulary;
  int pieces = 0;
  std::vector<std::vector<float>> logits;
};

class Fixture {
 public:
  Fixture() {
    write_token_rows(folder_.file("ids.safetensors"), 4, 16, demo_vocabulary);
    tokens_ = read_token_file(folder_.file("ids.safetensors"));
  }

  Collected run(std::uint64_t piece_bytes, const std::string& work = "") const {
    Watcher watcher;
    return run(piece_bytes, work, watcher);
  }
  Collected run(std::uint64_t piece_bytes, const std::string& work, Watcher& watcher,
                const std::string& model = demo_model) const {
    const OpenModel source = open_model(demo_model), other = open_model(model);
    const std::array<LaneSpec, 3> lanes = {LaneSpec{.model = &source}, LaneSpec{&other, DecodeAs::bf16},
                                           LaneSpec{&other, DecodeAs::bf16}};
    const ComputeSession session("cpu", run_threads(2));
    Collected collected(lanes.size(), tokens_.rows * tokens_.columns, demo_vocabulary);
    run_forward({.lanes = lanes,
                 .tokens = tokens_,
                 .threads = session.threads(),
                 .work_directory = work,
                 .piece_bytes = piece_bytes,
                 .stop = &watcher.stop},
                collected, watcher);
    return collected;
  }
  std::string quantized(const std::string& scheme) const { return quantized(scheme, file(scheme + ".work")); }
  std::string quantized(const std::string& scheme, const std::string& work) const {
    Reporter silent;
    quantize({.places = {.model = demo_model, .output = file(scheme), .work_directory = work},
              .assignment = {.scheme = scheme}},
             silent);
    return file(scheme);
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

 private:
  TemporaryFolder folder_;
  TokenRows tokens_;
};

}  // namespace

TEST_CASE("a head in pieces gives the logits of a whole one, of two models side by side") {
  const Fixture fixture;
  const Collected whole = fixture.run(1u << 30), pieces = fixture.run(50'000);
  CHECK(whole.pieces == 1);
  CHECK(pieces.pieces > 3);
  CHECK(whole.logits[1] == whole.logits[2]);
  CHECK(pieces.logits[1] == pieces.logits[2]);
  for (std::size_t lane = 0; lane < 2; ++lane)
    for (std::size_t i = 0; i < whole.logits[lane].size(); i += 97)
      CHECK(pieces.logits[lane][i] == Catch::Approx(whole.logits[lane][i]).epsilon(1e-4).margin(1e-5));
}

TEST_CASE("a folder with files of somebody else's is not touched") {
  const Fixture fixture;
  make_directory(fixture.file("mine"));
  write_text(fixture.file("mine") + "/notes", "dear diary");
  const Error error = thrown_by([&] { fixture.run(1u << 30, fixture.file("mine")); });
  CHECK(error.fault == Fault::usage);
  CHECK(read_text(fixture.file("mine") + "/notes") == "dear diary");
}

TEST_CASE("a forward that was stopped goes on to the same logits, and leaves nothing") {
  const Fixture fixture;
  const std::string work = fixture.file("work");
  const Collected whole = fixture.run(1u << 30);
  Watcher at_once(1);
  CHECK(thrown_by([&] { fixture.run(1u << 30, work, at_once); }).fault == Fault::interrupted);  // no layer is done
  CHECK(!exists(work + "/journal"));
  for (const int layers : {2, 1, 1}) {
    Watcher stopping(layers);
    CHECK(thrown_by([&] { fixture.run(1u << 30, work, stopping); }).fault == Fault::resumable);
    CHECK(is_directory(work));
  }
  CHECK(thrown_by([&] { fixture.quantized("W4A16", work); }).fault == Fault::usage);  // would throw it away
  Watcher watcher;
  const Collected resumed = fixture.run(1u << 30, work, watcher);
  CHECK(watcher.layers.size() < 3);
  CHECK(watcher.said("are taken over from an earlier run"));
  CHECK(resumed.logits == whole.logits);
  CHECK(list_directory(work).size() == 1);  // the lock
}

TEST_CASE("what was kept for other models does not count, however often they change") {
  const Fixture fixture;
  const std::string work = fixture.file("work"), four = fixture.quantized("W4A16"), eight = fixture.quantized("W8A16");
  Watcher first(2), second(2), third;
  CHECK(thrown_by([&] { fixture.run(1u << 30, work, first, four); }).fault == Fault::resumable);
  CHECK(thrown_by([&] { fixture.run(1u << 30, work, second, eight); }).fault == Fault::resumable);
  CHECK(second.said("starts over: models side by side"));
  const Collected last = fixture.run(1u << 30, work, third, four);
  CHECK(third.said("starts over: models side by side"));
  Watcher alone;
  CHECK(last.logits == fixture.run(1u << 30, "", alone, four).logits);
  CHECK(last.logits[1] != fixture.run(1u << 30, "", alone, eight).logits[1]);
}

TEST_CASE("a stop that comes after the last logits changes nothing") {
  const Fixture fixture;
  const std::string work = fixture.file("work");
  Watcher stopping(6);
  CHECK(fixture.run(1u << 30, work, stopping).logits == fixture.run(1u << 30).logits);
  CHECK(stopping.stop != 0);
  CHECK(list_directory(work).size() == 1);  // the lock
}
