// Shared runs of tokens against a search of all pairs of places.
#include "formats/text/shared_windows.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <numeric>
#include <random>

#include "formats/text/token_rows.h"

using namespace strata;

namespace {

using Rows = std::vector<std::vector<TokenId>>;

// Whether there is a shared run, by the words of the header.
bool naive(const Rows& known, const Rows& rows, std::size_t run) {
  for (const auto& a : known)
    for (const auto& b : rows) {
      const std::size_t length = std::min({run, a.size(), b.size()});
      if (length == 0) continue;
      for (std::size_t i = 0; i + length <= a.size(); ++i)
        for (std::size_t j = 0; j + length <= b.size(); ++j)
          if (std::equal(a.begin() + static_cast<std::ptrdiff_t>(i),
                         a.begin() + static_cast<std::ptrdiff_t>(i + length),
                         b.begin() + static_cast<std::ptrdiff_t>(j)))
            return true;
    }
  return false;
}

void require_true(const SharedRun& shared, const Rows& known, const Rows& rows) {
  const auto& a = known.at(static_cast<std::size_t>(shared.known_row));
  const auto& b = rows.at(static_cast<std::size_t>(shared.row));
  for (std::int64_t i = 0; i < shared.tokens; ++i)
    REQUIRE(a.at(static_cast<std::size_t>(shared.known_first + i)) == b.at(static_cast<std::size_t>(shared.first + i)));
}

std::vector<TokenId> counting(TokenId first, std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

}  // namespace

TEST_CASE("a run of 64 tokens is shared, one of 63 is not") {
  const TokenRows known = make_rows({counting(0, 100), counting(1000, 100)});
  for (const std::size_t count : {std::size_t{63}, std::size_t{64}}) {
    std::vector<TokenId> row = counting(5000, 40);
    const std::vector<TokenId> taken = counting(1020, count);
    row.insert(row.end(), taken.begin(), taken.end());
    row.push_back(7);
    const std::optional<SharedRun> shared = find_shared(known, make_rows({counting(3000, 100), row}));
    REQUIRE(shared.has_value() == (count == 64));
    if (!shared) continue;
    CHECK(shared->row == 1);
    CHECK(shared->first == 40);
    CHECK(shared->known_row == 1);
    CHECK(shared->known_first == 20);
    CHECK(shared->tokens == 64);
  }
}

TEST_CASE("of a row that is shorter all must be shared, whichever side it is on") {
  const TokenRows whole = make_rows({counting(0, 100)}), part = make_rows({counting(40, 30)});
  TokenRows other = part;
  other.ids[29] = 7;
  CHECK(find_shared(whole, part)->known_first == 40);
  CHECK(find_shared(part, whole)->first == 40);
  CHECK(find_shared(part, part)->tokens == 30);
  CHECK_FALSE(find_shared(whole, other));
  CHECK_FALSE(find_shared(other, whole));
  CHECK_FALSE(find_shared(whole, make_rows({})));
  CHECK_FALSE(find_shared(whole, make_rows({{}})));
  // Padding is no token: rows are as long as they say.
  CHECK_FALSE(find_shared(make_rows({{9}, counting(1, 6)}), make_rows({{0, 0, 0, 0}}), 3));
}

TEST_CASE("what is found is what a search of all pairs finds, for rows of many lengths and few tokens") {
  std::mt19937 random(3);
  int found = 0;
  for (int round = 0; round < 2000; ++round) {
    const auto draw = [&](std::size_t most) {
      Rows rows(1 + random() % 3);
      for (auto& row : rows) {
        row.resize(random() % most);
        for (TokenId& token : row) token = static_cast<TokenId>(random() % 3);
      }
      return rows;
    };
    const Rows known = draw(12), rows = draw(14);
    const auto run = static_cast<std::int64_t>(2 + random() % 9);
    const std::optional<SharedRun> shared = find_shared(make_rows(known), make_rows(rows), run);
    REQUIRE(shared.has_value() == naive(known, rows, static_cast<std::size_t>(run)));
    if (!shared) continue;
    require_true(*shared, known, rows);
    ++found;
  }
  CHECK(found > 400);
  CHECK(found < 1600);
}

TEST_CASE("many equal tokens take no longer than others") {
  const TokenRows known = make_rows({std::vector<TokenId>(200'000, 5)});
  std::vector<TokenId> row(200'000, 5);
  for (std::size_t i = 50; i < row.size(); i += 60) row[i] = 6;
  CHECK_FALSE(find_shared(known, make_rows({row})));
}
