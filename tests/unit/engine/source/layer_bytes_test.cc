#include "engine/source/layer_bytes.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>

#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_checkpoint.h"

using namespace strata;

namespace {

std::unique_ptr<Reader> reader_or_none(IoMethod method) {
  try {
    return make_reader(method);
  } catch (const Error&) {
    return nullptr;
  }
}

// Tensors of odd sizes, so that most begin at odd places; a large one so that there is a gap between its neighbours.
std::vector<test::StoredTensor> odd_tensors() {
  std::vector<test::StoredTensor> tensors;
  unsigned seed = 0;
  for (const std::int64_t size : {3, 5000, 1, 0, 70'001, 4096, 300'007, 17}) {
    test::StoredTensor codes = test::random_tensor("t" + std::to_string(seed), {size}, Dtype::bf16, seed);
    codes.dtype = Dtype::u8;
    codes.bytes.resize(static_cast<std::size_t>(size));
    tensors.push_back(std::move(codes));
    ++seed;
  }
  return tensors;
}

OpenModel opened(const std::string& folder) { return {Checkpoint::open(folder), {}, {}}; }

}  // namespace

TEST_CASE("every way of reading brings the bytes of all tensors, wherever they lie") {
  const test::TemporaryFolder folder;
  const std::vector<test::StoredTensor> tensors = odd_tensors();
  test::write_checkpoint(folder.file("model"), "{}", tensors);
  const OpenModel model = opened(folder.file("model"));
  Budget memory("memory", 1u << 24);
  LayerBytes bytes(memory);
  for (const IoMethod method : {IoMethod::mmap, IoMethod::pread, IoMethod::direct}) {
    const std::unique_ptr<Reader> reader = reader_or_none(method);
    if (reader == nullptr) continue;
    for (unsigned chosen = 1; chosen < 256; chosen += 6) {  // all kinds of neighbours and gaps
      Part part;
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < tensors.size(); ++i)
        if ((chosen >> i & 1u) != 0) {
          part.pieces.push_back({&model.checkpoint.at(tensors[i].name), 0, tensors[i].bytes.size()});
          total += tensors[i].bytes.size();
        }
      std::ranges::sort(part.pieces, {}, [](const TensorPiece& p) { return p.tensor->offset; });
      bytes.load(model, part, *reader);
      CHECK(bytes.loaded_bytes() == total);
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        INFO(io_name(method) << " " << chosen << " " << tensors[i].name);
        if ((chosen >> i & 1u) == 0) {
          CHECK_THROWS_AS(bytes.bytes(model.checkpoint.at(tensors[i].name)), Error);
          continue;
        }
        const auto got = bytes.bytes(model.checkpoint.at(tensors[i].name));
        CHECK(std::ranges::equal(got, tensors[i].bytes));
        CHECK((got.empty() || reinterpret_cast<std::uintptr_t>(got.data()) % 8 == 0));
      }
    }
  }
}

TEST_CASE("a piece of a tensor is that piece of its bytes, and takes the memory that was planned") {
  const test::TemporaryFolder folder;
  const std::vector<test::StoredTensor> tensors = odd_tensors();
  test::write_checkpoint(folder.file("model"), "{}", tensors);
  const OpenModel model = opened(folder.file("model"));
  const TensorInfo& large = model.checkpoint.at("t6");
  const std::unique_ptr<Reader> reader = make_reader(IoMethod::pread);
  for (const std::uint64_t skip : {0u, 1u, 4095u, 4096u, 123'456u})
    for (const std::uint64_t size : {1u, 7u, 8191u, 100'000u}) {
      INFO(skip << " " << size);
      Part part;
      part.pieces = {{&large, skip, size}};
      Budget memory("memory", LayerBytes::memory(part));
      LayerBytes bytes(memory);
      bytes.load(model, part, *reader);
      CHECK(
          std::ranges::equal(bytes.bytes(model.checkpoint.at("t6")), std::span(tensors[6].bytes).subspan(skip, size)));
      CHECK(memory.used() <= LayerBytes::memory(part));
    }
}

TEST_CASE("a file that became shorter is an error with its name") {
  const test::TemporaryFolder folder;
  test::write_checkpoint(folder.file("model"), "{}", odd_tensors());
  const OpenModel model = opened(folder.file("model"));
  const std::string shard = model.checkpoint.files()[0].path();
  Part part;
  part.pieces = {{&model.checkpoint.at("t6"), 0, 300'007}};
  OutputFile(shard, 1000);
  Budget memory("memory", 1u << 24);
  LayerBytes bytes(memory);
  const Error error = test::thrown_by([&] { bytes.load(model, part, *make_reader(IoMethod::pread)); });
  CHECK((error.fault == Fault::input || error.fault == Fault::io));
  CHECK(std::string(error.what()).find(shard) != std::string::npos);
}
