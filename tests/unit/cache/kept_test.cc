#include "cache/kept.h"

#include <catch2/catch_test_macros.hpp>

#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/unit/cache/boundary_fixture.h"

using namespace strata;
using namespace strata::test;

namespace {

const BoundaryShape shape{.samples = 4, .tokens = 8, .hidden = 64, .samples_per_block = 3};

Fingerprint print_of(std::string_view layer) {
  Fingerprint print;
  print.add("layer", layer);
  return print;
}

void put(Kept& store, const Fingerprint& fingerprint, std::span<const float> values) {
  const std::unique_ptr<PendingBoundary> pending = store.put(fingerprint, shape, FrameCodec::bf16_zstd);
  EncodedBlock encoded;
  for (std::int64_t block = 0; block < shape.blocks(); ++block) {
    pending->writer().encode(block, block_of(values, shape, block), encoded);
    pending->writer().append(encoded);
  }
  pending->publish();
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : list_directory(folder)) names.push_back(entry.name);
  return names;
}

constexpr std::uint64_t plenty = 1u << 30;

}  // namespace

TEST_CASE("a store gives back what was put under the same fingerprint, also in a later run") {
  const TemporaryFolder folder;
  const std::vector<float> values = gaussian(values_of(shape));
  Budget disk("disk", plenty);
  {
    Kept store(folder.file("act"), disk);
    put(store, print_of("3"), values);
    CHECK((names_in(folder.file("act")) == std::vector{print_of("3").hash() + ".sba"}));
  }
  Kept store(folder.file("act"), disk);
  std::string why;
  const std::optional<BoundaryReader> reader = store.get(print_of("3"), shape, 2, why);
  REQUIRE(reader);
  CHECK(same_bits(*read_all(*reader, why), values));
  CHECK_FALSE(store.get(print_of("4"), shape, 2, why));
  CHECK(why == store.path_of(print_of("4")) + ": is missing");
}

TEST_CASE("a store does not take a file that stands under another's name, nor one that was changed") {
  const TemporaryFolder folder;
  Budget disk("disk", plenty);
  Kept store(folder.path(), disk);
  put(store, print_of("3"), gaussian(values_of(shape)));
  rename_path(store.path_of(print_of("3")), store.path_of(print_of("4")));
  std::string why;
  CHECK_FALSE(store.get(print_of("4"), shape, 2, why));
  CHECK(why.find("fingerprint") != std::string::npos);

  put(store, print_of("3"), gaussian(values_of(shape)));
  put_byte(store.path_of(print_of("3")), 4096 + 100, 'x');  // in a frame: header and index are sound
  CHECK_FALSE(store.get(print_of("3"), shape, 2, why));
  CHECK(why.find("checksum") != std::string::npos);
  put(store, print_of("3"), gaussian(values_of(shape)));  // written anew, it counts again
  CHECK(store.get(print_of("3"), shape, 2, why));
}

TEST_CASE("the disk budget holds the worst case while writing and the real size afterwards") {
  const TemporaryFolder folder;
  const std::uint64_t bound = boundary_file_bound(shape);
  const std::vector<float> zeros(values_of(shape));
  Budget disk("disk", 2 * bound - 1);
  Kept store(folder.path(), disk);
  {
    const auto pending = store.put(print_of("1"), shape, FrameCodec::raw);
    CHECK(disk.used() == bound);
    const Error error = thrown_by([&] { store.put(print_of("2"), shape, FrameCodec::raw); });
    CHECK(error.fault == Fault::budget);
    CHECK(std::string(error.what()).find("boundaries") != std::string::npos);
  }
  CHECK(disk.used() == 0);
  CHECK(names_in(folder.path()).empty());
  put(store, print_of("1"), zeros);
  const std::uint64_t one = file_size(store.path_of(print_of("1")));
  CHECK(disk.used() == one);
  CHECK(one < bound);
  put(store, print_of("1"), zeros);  // takes the place of the first
  CHECK(disk.used() == one);
  store.drop(print_of("1"));
  CHECK(disk.used() == 0);
  CHECK_FALSE(exists(store.path_of(print_of("1"))));
  store.drop(print_of("1"));
}

TEST_CASE("files that were there are charged once") {
  const TemporaryFolder folder;
  Budget disk("disk", plenty);
  {
    Kept store(folder.path(), disk);
    put(store, print_of("1"), gaussian(values_of(shape)));
  }
  CHECK(disk.used() == 0);
  const std::uint64_t bytes = list_directory(folder.path()).front().bytes;
  Budget tight("disk", bytes);
  Kept store(folder.path(), tight);
  const std::vector<Fingerprint> keep{print_of("1")};
  store.sweep_leftovers(keep);
  CHECK(tight.used() == bytes);
  std::string why;
  CHECK(store.get(print_of("1"), shape, 2, why));
  CHECK(tight.used() == bytes);
  Budget less("disk", bytes - 1);
  Kept refused(folder.path(), less);
  CHECK(thrown_by([&] { refused.get(print_of("1"), shape, 2, why); }).fault == Fault::budget);
}

TEST_CASE("what killed writers left is swept; what is needed and what is not ours stays") {
  const TemporaryFolder folder;
  Budget disk("disk", plenty);
  Kept store(folder.path(), disk);
  put(store, print_of("1"), gaussian(values_of(shape)));
  put(store, print_of("2"), gaussian(values_of(shape)));
  write_text(folder.file(print_of("3").hash() + ".sba.partial"), "half");
  write_text(folder.file("notes.txt"), "?");
  make_directory(folder.file("deep"));
  write_text(folder.file("deep/file"), "kept");
  const std::uint64_t one = file_size(store.path_of(print_of("2")));

  const std::vector<Fingerprint> keep{print_of("2"), print_of("9")};
  CHECK(store.sweep_leftovers(keep).size() == 2);
  CHECK(names_in(folder.path()).size() == 3);
  CHECK(exists(store.path_of(print_of("2"))));
  CHECK(exists(folder.file("notes.txt")));
  CHECK(exists(folder.file("deep/file")));
  CHECK(disk.used() == one);
}
