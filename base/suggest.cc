#include "base/suggest.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>
#include <vector>

namespace strata {
namespace {

bool same_letter(char a, char b) {
  return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

// Levenshtein distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

// Nobody types names this long, and comparing a million letters with every word takes minutes.
constexpr std::size_t longest = 256;

}  // namespace

std::optional<std::string> nearest(std::string_view typed, std::span<const std::string> words) {
  if (typed.size() > longest) return std::nullopt;
  const std::string* best = nullptr;
  std::size_t least = std::max<std::size_t>(2, typed.size() / 3) + 1;
  for (const std::string& word : words)
    if (const std::size_t distance = edit_distance(typed, word); distance < least) {
      least = distance;
      best = &word;
    }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

std::string did_you_mean(std::string_view typed, std::span<const std::string> words) {
  const std::optional<std::string> near = nearest(typed, words);
  return near ? fmt::format(" (did you mean {}?)", *near) : "";
}

std::string suggest(std::string_view typed, std::span<const std::string> words) {
  if (std::string near = did_you_mean(typed, words); !near.empty()) return near;
  constexpr std::size_t most = 16;
  if (words.empty() || typed.size() > longest) return "";
  return fmt::format(" (one of {}{})", fmt::join(words.first(std::min(most, words.size())), ", "),
                     words.size() > most ? fmt::format(" and {} more", words.size() - most) : "");
}

}  // namespace strata
