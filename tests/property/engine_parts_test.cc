// However a visit is cut into parts, every byte of it is read exactly once, and nothing but the order of reading
// depends on the cut.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "base/file.h"
#include "engine/plan/part.h"
#include "engine/source/read_ahead.h"
#include "tests/support/coded_llama.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/whole_visit.h"

using namespace strata;

namespace {

// Everything stored of the visit's Linears, and what else is kept.
std::vector<const TensorInfo*> tensors_of(const OpenModel& model, const Visit& visit) {
  std::vector<const TensorInfo*> tensors = visit.kept;
  for (const LinearSpec* linear : visit.linears)
    for (const TensorInfo& tensor : model.checkpoint.tensors())
      if (tensor.name.starts_with(linear->module + ".") && !tensor.name.ends_with(".bias")) tensors.push_back(&tensor);
  return tensors;
}

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max() / 2;

// Every family's tiny model: with biases, tied heads, experts in all or some layers; and sources in codes.
std::vector<std::string> models(const test::TemporaryFolder& folder) {
  std::vector<std::string> all;
  for (const DirectoryEntry& entry : list_directory(test::in_source("tests/golden/models")))
    if (entry.is_directory) all.push_back(join_path(test::in_source("tests/golden/models"), entry.name));
  all.push_back(test::in_source("demo/model"));
  all.push_back(folder.file("blocks"));
  test::write_coded_llama(all.back(), test::fp8_blocks, 256, test::block_coded);
  all.push_back(folder.file("static"));
  test::write_coded_llama(all.back(), test::fp8_static, 256,
                          [](const test::CodedLinear& linear) { return test::static_coded(linear); });
  return all;
}

struct Cutting {
  PartLimits limits;
  bool copies_head = true;
};

Cutting any_cutting(std::mt19937& random) {
  const std::uint64_t sizes[] = {0, 1, 100, 1000, 5000, 20'000, 100'000, no_limit};
  return {{.group_bytes = sizes[random() % 8], .piece_bytes = sizes[random() % 8]}, random() % 2 == 0};
}

// [begin, end) of each tensor that the parts read, sorted.
using Pieces = std::map<std::string, std::vector<std::pair<std::uint64_t, std::uint64_t>>>;

void check_bytes(const OpenModel& model, const Visit& visit, const std::vector<Part>& parts) {
  Pieces read;
  for (const Part& part : parts)
    for (const TensorPiece& piece : part.pieces)
      read[piece.tensor->name].emplace_back(piece.skip, piece.skip + piece.bytes);
  std::set<std::string> wanted;
  for (const TensorInfo* tensor : tensors_of(model, visit)) {
    INFO(tensor->name);
    wanted.insert(tensor->name);
    std::uint64_t end = 0;
    std::ranges::sort(read[tensor->name]);
    for (const auto& [from, to] : read[tensor->name]) {
      CHECK(from == end);
      end = to;
    }
    CHECK(end == tensor->bytes);
  }
  for (const auto& [name, pieces] : read) CHECK(wanted.contains(name));
}

// Linears and kept tensors each come in one part; the rest is copied.
void check_roles(const Visit& visit, const std::vector<Part>& parts, bool copies_head) {
  std::multiset<const LinearSpec*> linears;
  std::multiset<std::string> kept;
  for (const Part& part : parts) {
    linears.insert(part.linears.begin(), part.linears.end());
    for (const TensorInfo* tensor : part.kept) kept.insert(tensor->name);
    if (part.kind == Part::Kind::copy && part.pieces[0].skip == 0) kept.insert(part.pieces[0].tensor->name);
  }
  std::multiset<const LinearSpec*> all(visit.linears.begin(), visit.linears.end());
  std::multiset<std::string> others;
  for (const TensorInfo* tensor : visit.kept) others.insert(tensor->name);
  if (visit.kind == Visit::Kind::head && copies_head) {
    for (const LinearSpec* linear : all) others.insert(linear->module + ".weight");
    all.clear();
  }
  CHECK(linears == all);
  CHECK(kept == others);
}

std::uint64_t bytes_of(const Part& part) {
  std::uint64_t bytes = 0;
  for (const TensorPiece& piece : part.pieces) bytes += piece.bytes;
  return bytes;
}

void check_limits(const std::vector<Part>& parts, const PartLimits& limits) {
  std::size_t next_expert = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    CHECK(part.index == i);
    CHECK(part.first == (i == 0));
    CHECK(part.last == (i + 1 == parts.size()));
    CHECK(std::ranges::is_sorted(part.pieces, {},
                                 [](const TensorPiece& p) { return std::pair(p.tensor->file, p.tensor->offset); }));
    if (part.kind == Part::Kind::experts) {
      CHECK(part.first_expert == next_expert);
      CHECK((part.end_expert == part.first_expert + 1 || bytes_of(part) <= limits.group_bytes));
      next_expert = part.end_expert;
    }
    if (part.kind == Part::Kind::copy) {
      const TensorPiece& piece = part.pieces.at(0);
      const std::uint64_t row =
          piece.tensor->bytes / static_cast<std::uint64_t>(piece.tensor->shape.empty() ? 1 : piece.tensor->shape[0]);
      CHECK(piece.skip % row == 0);
      CHECK(piece.bytes % row == 0);
      CHECK((piece.bytes == row || piece.bytes <= limits.piece_bytes));
    }
  }
}

}  // namespace

TEST_CASE("parts hold every byte of every visit exactly once, for any limits") {
  const test::TemporaryFolder folder;
  std::mt19937 random(7);
  for (const std::string& path : models(folder)) {
    const OpenModel model = open_model(path);
    const std::vector<Visit>& all = model.visits;
    for (int round = 0; round < 12; ++round) {
      const Cutting cutting = any_cutting(random);
      INFO(path << ", groups of " << cutting.limits.group_bytes << ", pieces of " << cutting.limits.piece_bytes
                << (cutting.copies_head ? ", head copied" : ", head encoded"));
      for (std::size_t i = 0; i < all.size(); ++i) {
        INFO(all[i].name);
        const std::vector<Part> parts = cut_visit(model, all[i], i, cutting.copies_head, cutting.limits);
        check_bytes(model, all[i], parts);
        check_roles(all[i], parts, cutting.copies_head);
        check_limits(parts, cutting.limits);
      }
    }
  }
}

TEST_CASE("a visit as one part holds what it borrows too") {
  const OpenModel model = open_model(test::in_source("tests/golden/models/llama-tied"));
  const std::vector<Visit>& all = model.visits;
  REQUIRE_FALSE(all.back().borrowed.empty());
  for (const Visit& visit : all) {
    const Part part = test::whole_visit(model, visit);
    std::multiset<std::string> got, wanted;
    for (const TensorPiece& piece : part.pieces) {
      CHECK(piece.bytes == piece.tensor->bytes);
      got.insert(piece.tensor->name);
    }
    for (const TensorInfo* tensor : tensors_of(model, visit)) wanted.insert(tensor->name);
    for (const TensorInfo* tensor : visit.borrowed) wanted.insert(tensor->name);
    CHECK(got == wanted);
  }
}

TEST_CASE("the sum of hashes over a visit does not depend on how its experts are cut, and on every byte") {
  const OpenModel model = open_model(test::in_source("demo/model"));
  const std::vector<Visit>& all = model.visits;
  Budget memory("memory", 1u << 30);
  const std::unique_ptr<Reader> reader = make_reader(IoMethod::pread);
  const auto sums = [&](std::uint64_t group_bytes) {
    std::vector<Part> parts;
    for (std::size_t i = 0; i < all.size(); ++i)
      for (Part& part : cut_visit(model, all[i], i, true, {.group_bytes = group_bytes}))
        parts.push_back(std::move(part));
    ReadAhead ahead(parts, {.memory = memory, .reader = *reader});
    std::vector<std::uint64_t> sum(all.size());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto part = ahead.next();
      sum[part->part->visit_index] += part->hash;
    }
    return sum;
  };
  const std::vector<std::uint64_t> whole = sums(no_limit);
  CHECK(sums(0) == whole);
  CHECK(sums(300'000) == whole);
  CHECK(std::set<std::uint64_t>(whole.begin(), whole.end()).size() == whole.size());
}
