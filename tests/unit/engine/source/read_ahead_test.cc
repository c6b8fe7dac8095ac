#include "engine/source/read_ahead.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <thread>

#include "tests/support/source_folder.h"
#include "tests/support/thrown.h"

using namespace strata;

namespace {

// Reads, after a while; the reads after the first `good` fail.
class PlantedReader final : public Reader {
 public:
  explicit PlantedReader(int good, std::chrono::milliseconds delay = {}) : good_(good), delay_(delay) {}
  void read(std::span<const ReadRange> ranges) override {
    std::this_thread::sleep_for(delay_);
    if (reads_++ >= good_) fail(Fault::io, "shard: planted");
    reader_->read(ranges);
  }
  IoMethod method() const override { return IoMethod::pread; }
  int reads() const { return reads_; }

 private:
  const std::unique_ptr<Reader> reader_ = make_reader(IoMethod::pread);
  const int good_;
  const std::chrono::milliseconds delay_;
  std::atomic<int> reads_ = 0;
};

struct Fixture {
  OpenModel model = open_model(test::in_source("tests/golden/models/qwen3-moe"));
  std::vector<Visit> all = model.visits;
  std::vector<Part> parts;
  Budget memory{"memory", 1u << 28};
  Fixture() {
    for (std::size_t i = 0; i < all.size(); ++i)
      for (Part& part : cut_visit(model, all[i], i, true, {.group_bytes = 0, .piece_bytes = 4096}))
        parts.push_back(std::move(part));
  }

  bool holds_source(const LoadedPart& part) const {
    for (std::size_t i = 0; i < part.part->pieces.size(); ++i) {
      const TensorPiece& piece = part.part->pieces[i];
      std::vector<std::byte> whole(piece.tensor->bytes);
      model.checkpoint.read(*piece.tensor, whole);
      if (!std::ranges::equal(std::span(whole).subspan(piece.skip, piece.bytes), part.bytes.pieces()[i])) return false;
    }
    return true;
  }
};

}  // namespace

TEST_CASE("parts come in order, each with the bytes of the source") {
  Fixture fixture;
  REQUIRE(fixture.parts.size() > 20);
  for (const int slots : {1, 2, 5}) {
    PlantedReader reader(1000);
    ReadAhead ahead(fixture.parts, {.memory = fixture.memory, .reader = reader, .slots = slots});
    for (const Part& part : fixture.parts) {
      const std::shared_ptr<const LoadedPart> got = ahead.next();
      REQUIRE(got->part == &part);
      CHECK(fixture.holds_source(*got));
    }
    CHECK(reader.reads() == static_cast<int>(fixture.parts.size()));
  }
  CHECK(fixture.memory.used() == 0);
}

TEST_CASE("no more parts are alive than there are slots, and the owner of one keeps its bytes") {
  Fixture fixture;
  PlantedReader reader(1000);
  std::shared_ptr<const LoadedPart> kept;
  {
    ReadAhead ahead(fixture.parts, {.memory = fixture.memory, .reader = reader, .slots = 3});
    kept = ahead.next();
    for (std::size_t i = 1; i < fixture.parts.size(); ++i) CHECK(fixture.holds_source(*ahead.next()));
    CHECK(fixture.holds_source(*kept));
  }
  CHECK(fixture.holds_source(*kept));
  CHECK(fixture.memory.used() > 0);
  kept.reset();
  CHECK(fixture.memory.used() == 0);
}

TEST_CASE("what reading threw comes out behind the parts before it") {
  Fixture fixture;
  for (const int good : {0, 1, 7}) {
    PlantedReader reader(good);
    ReadAhead ahead(fixture.parts, {.memory = fixture.memory, .reader = reader});
    for (int i = 0; i < good; ++i) CHECK(ahead.next()->part == &fixture.parts[static_cast<std::size_t>(i)]);
    const Error error = test::thrown_by([&] { ahead.next(); });
    CHECK(error.fault == Fault::io);
    CHECK(error.what() == std::string("shard: planted"));
    CHECK(reader.reads() == good + 1);  // it stops there
  }
}

TEST_CASE("a budget that is too small for a part is an error of the run that reads it") {
  Fixture fixture;
  Budget small("memory", 100);
  PlantedReader reader(1000);
  ReadAhead ahead(fixture.parts, {.memory = small, .reader = reader});
  CHECK(test::thrown_by([&] { ahead.next(); }).fault == Fault::budget);
}

TEST_CASE("reading can be given up while it reads, while it waits for a slot and after it failed") {
  using namespace std::chrono_literals;
  Fixture fixture;
  {
    PlantedReader slow(1000, 30ms);
    const ReadAhead ahead(fixture.parts, {.memory = fixture.memory, .reader = slow});
  }
  {
    PlantedReader reader(1000);
    ReadAhead ahead(fixture.parts, {.memory = fixture.memory, .reader = reader});
    const auto first = ahead.next(), second = ahead.next();
    std::this_thread::sleep_for(10ms);  // now it waits: both slots are taken
    CHECK(reader.reads() == 2);
  }
  {
    PlantedReader broken(0);
    const ReadAhead ahead(fixture.parts, {.memory = fixture.memory, .reader = broken});
    std::this_thread::sleep_for(10ms);
  }
  CHECK(fixture.memory.used() == 0);
}
