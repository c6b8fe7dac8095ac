// What the same command finds when its run was killed between the output's appearing and the end of its journal.
#include <catch2/catch_test_macros.hpp>

#include "cache/journal.h"
#include "tests/support/planted_fault.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;

namespace {

// A run whose output is there, and whose journal is too: as after a kill between the two last steps.
class Published {
 public:
  Published() {
    write_tiny_llama(folder_.file("model"), {.inner = 192});  // down_proj has no whole groups of 128: it is kept
    write_text(folder_.file("model/generation_config.json"), "{}");
    options = options_in(folder_, folder_.file("model"), "W4A16", "", 8, 32);
    const PlantedFault fault([](const Call& call) {
      const bool journal = call.operation == FileOperation::unlink && call.path.ends_with("/journal");
      return journal ? Interference{.error = EIO} : Interference{};
    });
    Watcher watcher;
    REQUIRE(thrown_by([&] { run(options, watcher); }).fault == Fault::io);
    REQUIRE(exists(options.places.output));
    REQUIRE(exists(journal()));
  }

  // Writes the journal again with `from` replaced by `to` in its records.
  void rewrite(const std::string& from, const std::string& to) const {
    JournalMiss miss;
    std::vector<std::string> records = read_journal(journal(), miss)->records;
    remove_tree(journal());
    std::optional<Journal> again = Journal::open(journal(), miss);
    std::size_t replaced = 0;
    for (std::string& record : records) {
      for (std::size_t at = record.find(from); at != std::string::npos; at = record.find(from, at + to.size())) {
        record.replace(at, from.size(), to);
        ++replaced;
      }
      again->append(record);
    }
    REQUIRE(replaced > 0);
  }

  std::string journal() const { return join_path(options.places.work_directory, "journal"); }
  const TemporaryFolder& folder() const { return folder_; }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("the command of a run that was killed when its output had appeared only tidies up") {
  Published published;
  const Files output = files_in(published.options.places.output);
  Watcher watcher;
  CHECK(run(published.options, watcher) == Ended::done);
  CHECK(watcher.said("was complete already"));
  CHECK(watcher.layers.empty());
  CHECK(files_in(published.options.places.output) == output);
  CHECK_FALSE(exists(published.journal()));
}

TEST_CASE("a command that would be refused, or write something else, does not take that output for its own") {
  Published published;
  Fault expected = Fault::usage;  // the output exists already
  SECTION("--strict") {
    published.options.assignment.strict = true;
    expected = Fault::input;
  }
  SECTION("another pass") { published.rewrite("render 1", "render 0"); }
  SECTION("another device") { published.rewrite("\"device\":\"cpu\"", "\"device\":\"cuda\""); }
  SECTION("another file beside the weights") {
    write_text(published.folder().file("model/generation_config.json"), "{\"eos_token_id\": 1}");
  }
  const Files output = files_in(published.options.places.output);
  Watcher watcher;
  CHECK(thrown_by([&] { run(published.options, watcher); }).fault == expected);
  CHECK_FALSE(watcher.said("was complete already"));
  CHECK(files_in(published.options.places.output) == output);
}
