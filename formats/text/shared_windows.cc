#include "formats/text/shared_windows.h"

#include <algorithm>
#include <functional>
#include <set>
#include <span>
#include <unordered_map>

namespace strata {
namespace {

struct Place {
  std::int64_t row = 0, first = 0;
};

std::uint64_t scatter(TokenId token) {
  const std::uint64_t x = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(token)) + 1) * 0x9e3779b97f4a7c15ull;
  return x ^ (x >> 29);
}

std::span<const TokenId> tokens_of(const TokenRows& rows, std::int64_t row) {
  return {rows.row(row), static_cast<std::size_t>(rows.lengths[static_cast<std::size_t>(row)])};
}

// Calls see(hash, first) for every run of `length` tokens, until it gives true (Karp and Rabin 1987).
bool each_run(std::span<const TokenId> tokens, std::size_t length,
              const std::function<bool(std::uint64_t hash, std::int64_t first)>& see) {
  constexpr std::uint64_t base = 0xd1342543de82ef95ull;
  if (tokens.size() < length) return false;
  std::uint64_t hash = 0, leaving = 1;  // base^length
  for (std::size_t i = 0; i < length; ++i) {
    hash = hash * base + scatter(tokens[i]);
    leaving *= base;
  }
  for (std::size_t first = 0;; ++first) {
    if (see(hash, static_cast<std::int64_t>(first))) return true;
    if (first + length == tokens.size()) return false;
    hash = hash * base + scatter(tokens[first + length]) - leaving * scatter(tokens[first]);
  }
}

// The runs of one length of some rows, by what they hold.
class Runs {
 public:
  Runs(const TokenRows& rows, std::size_t length) : rows_(rows), length_(length) {}

  void add(std::int64_t row) {
    each_run(tokens_of(rows_, row), length_, [&](std::uint64_t hash, std::int64_t first) {
      const std::span<const TokenId> tokens = run_at({row, first});
      while (places_.contains(hash) && !std::ranges::equal(run_at(places_.at(hash)), tokens)) ++hash;
      places_.try_emplace(hash, Place{row, first});
      return false;
    });
  }

  // nullptr when no row has them.
  const Place* find(std::uint64_t hash, std::span<const TokenId> tokens) const {
    for (auto found = places_.find(hash); found != places_.end(); found = places_.find(++hash))
      if (std::ranges::equal(run_at(found->second), tokens)) return &found->second;
    return nullptr;
  }

 private:
  std::span<const TokenId> run_at(const Place& place) const {
    return tokens_of(rows_, place.row).subspan(static_cast<std::size_t>(place.first), length_);
  }

  const TokenRows& rows_;
  const std::size_t length_;
  std::unordered_map<std::uint64_t, Place> places_;  // those of one hash lie at the next ones that are free
};

// Where one of the rows asks for no more than `length` tokens.
std::optional<SharedRun> find_of_length(const TokenRows& known, const TokenRows& rows, std::int64_t run,
                                        std::int64_t length) {
  const auto asks_for = [&](const TokenRows& of, std::int64_t row) {
    return std::min(run, of.lengths[static_cast<std::size_t>(row)]);
  };
  const auto size = static_cast<std::size_t>(length);
  Runs all(known, size), alone(known, size);  // of every row, and of those that ask for just so many
  for (std::int64_t row = 0; row < known.rows; ++row) {
    all.add(row);
    if (asks_for(known, row) == length) alone.add(row);
  }
  std::optional<SharedRun> shared;
  for (std::int64_t row = 0; row < rows.rows && !shared; ++row) {
    const Runs& wanted = asks_for(rows, row) == length ? all : alone;
    const std::span<const TokenId> tokens = tokens_of(rows, row);
    each_run(tokens, size, [&](std::uint64_t hash, std::int64_t first) {
      const Place* const place = wanted.find(hash, tokens.subspan(static_cast<std::size_t>(first), size));
      if (place != nullptr) shared = {row, first, place->row, place->first, length};
      return shared.has_value();
    });
  }
  return shared;
}

}  // namespace

std::optional<SharedRun> find_shared(const TokenRows& known, const TokenRows& rows, std::int64_t run) {
  std::set<std::int64_t, std::greater<>> lengths;
  for (const TokenRows* const some : {&known, &rows})
    for (const std::int64_t length : some->lengths)
      if (length > 0) lengths.insert(std::min(run, length));
  for (const std::int64_t length : lengths)
    if (std::optional<SharedRun> shared = find_of_length(known, rows, run, length)) return shared;
  return std::nullopt;
}

}  // namespace strata
