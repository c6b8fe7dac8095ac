// Encoded options that are kept: whether they are there, and whether they are whole, changes no byte.
#include <catch2/catch_test_macros.hpp>

#include "engine/passes/render_store.h"
#include "engine/work/work_clean.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;

namespace {

class Fixture {
 public:
  Fixture() {
    write_token_rows(folder_.file("ids.safetensors"), 6, 24, demo_vocabulary);
    options = options_in(folder_, demo_model, "", folder_.file("ids.safetensors"), 6, 24);
    options.mixed = {.bits = 6.0, .formats = {"NVFP4", "MXFP8", "BF16"}, .probes = 2, .max_source_perplexity = 1e9};
    options.assignment.allow_unservable = true;
  }

  std::string renders(std::size_t visit) const { return render_file(options.places.work_directory, visit); }

  // The output of a run to its end, and what each option cost.
  Files all(Store store, Watcher& watcher) {
    options.mixed.store = store;
    REQUIRE(run(options, watcher) == Ended::done);
    Files files = files_in(options.places.output);
    files["costs.csv"] = read_text(join_path(options.places.work_directory, "costs.csv"));
    return files;
  }
  void forget() const {
    remove_tree(options.places.output);
    remove_tree(options.places.work_directory);
  }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

// Flips one bit of every entry's first bytes.
void damage(const std::string& path) {
  std::string bytes = read_text(path);
  for (std::size_t at = 0; at < bytes.size() / 2; at += 64) bytes[at] = static_cast<char>(bytes[at] ^ 4);
  write_text(path, bytes);
}

}  // namespace

TEST_CASE("what is stored, and whether anything is, changes no byte of the output") {
  Fixture fixture;
  Watcher watcher;
  const Files expected = fixture.all(Store::none, watcher);
  CHECK(!exists(fixture.renders(1)));
  fixture.forget();
  CHECK(fixture.all(Store::automatic, watcher) == expected);
  const std::uint64_t some = file_size(fixture.renders(1));
  std::uint64_t stored = 0;
  for (std::size_t visit = 1; visit <= 4; ++visit) stored += file_size(fixture.renders(visit));
  const OpenModel model = open_model(demo_model);
  CHECK(stored <= stored_bytes({.model = model, .request = fixture.options}));
  fixture.forget();
  CHECK(fixture.all(Store::all, watcher) == expected);
  CHECK(file_size(fixture.renders(1)) > some);
}

TEST_CASE("encoded options that are gone or damaged are made again, and that is said") {
  Fixture fixture;
  Watcher whole;
  const Files expected = fixture.all(Store::none, whole);
  fixture.forget();
  fixture.options.mixed.store = Store::all;
  Watcher stopping(8);  // in the reverse sweep
  REQUIRE(run(fixture.options, stopping) == Ended::stopped);
  remove_tree(fixture.renders(1));
  damage(fixture.renders(2));
  write_text(fixture.renders(3), "nothing of ours");
  Watcher again;
  CHECK(fixture.all(Store::all, again) == expected);
  CHECK(again.said("of its encoded options in the work folder are not what was written there: made again"));
}

TEST_CASE("options that another run stored are not taken for those of this one") {
  Fixture fixture;
  Watcher watcher;
  fixture.all(Store::all, watcher);
  remove_tree(fixture.options.places.output);
  fixture.options.rounding.method = "rtn";
  const Files second = fixture.all(Store::all, watcher);
  fixture.forget();
  CHECK(fixture.all(Store::none, watcher) == second);
}

TEST_CASE("clean removes what was stored") {
  Fixture fixture;
  Watcher stopping(9);
  fixture.options.mixed.store = Store::all;
  REQUIRE(run(fixture.options, stopping) == Ended::stopped);
  REQUIRE(exists(fixture.renders(4)));
  const CleanReport report = clean_work(fixture.options.places.work_directory);
  CHECK(report.unknown.empty());
  CHECK(!exists(parent_directory(fixture.renders(4))));
}
