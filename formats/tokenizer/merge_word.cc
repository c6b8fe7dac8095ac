#include "formats/tokenizer/merge_word.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>

namespace strata::tokenizer {
namespace {

using Merge = MergeTable::Merge;

// Below this, searching all pairs again after each merge is faster than a heap.
constexpr std::size_t few = 48;

void merge_few(std::vector<std::int32_t>& symbols, const MergeTable& merges) {
  std::array<Merge, few> pairs;  // pairs[i]: symbols i and i + 1
  std::size_t count = symbols.size();
  for (std::size_t i = 0; i + 1 < count; ++i) pairs[i] = merges.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (pairs[i].rank < pairs[best].rank) best = i;
    if (pairs[best].rank == MergeTable::never) break;
    symbols[best] = pairs[best].token;
    for (std::size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      pairs[i - 1] = pairs[i];
    }
    --count;
    if (best > 0) pairs[best - 1] = merges.find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) pairs[best] = merges.find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

struct Link {
  std::int32_t symbol;
  std::uint32_t previous, next;  // none at the ends; next == position of itself: merged away
};

struct Candidate {
  std::uint32_t rank, position;
  std::int32_t token;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

class LinkedMerge {
 public:
  LinkedMerge(const std::vector<std::int32_t>& symbols, const MergeTable& merges) : merges_(merges) {
    const auto count = static_cast<std::uint32_t>(symbols.size());
    links_.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i)
      links_.push_back({symbols[i], i == 0 ? none : i - 1, i + 1 < count ? i + 1 : none});
    std::vector<Candidate> first;
    for (std::uint32_t i = 0; i + 1 < count; ++i)
      if (const Merge merge = merges.find(symbols[i], symbols[i + 1]); merge.rank != MergeTable::never)
        first.push_back({merge.rank, i, merge.token});
    queue_ = Queue({}, std::move(first));
  }

  void run() {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      Link& left = links_[top.position];
      if (left.next == top.position || left.next == none) continue;
      Link& right = links_[left.next];
      const Merge now = merges_.find(left.symbol, right.symbol);
      if (now.rank == MergeTable::never || now.token != top.token) continue;  // the neighbours have changed
      const std::uint32_t gone = left.next;
      left.symbol = now.token;
      left.next = right.next;
      if (right.next != none) links_[right.next].previous = top.position;
      right.next = gone;
      if (left.previous != none) offer(left.previous);
      offer(top.position);
    }
  }

  void copy_to(std::vector<std::int32_t>& symbols) const {
    symbols.clear();
    for (std::uint32_t i = 0; i != none; i = links_[i].next) symbols.push_back(links_[i].symbol);
  }

 private:
  using Queue = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>>;

  void offer(std::uint32_t position) {
    const Link& link = links_[position];
    if (link.next == none) return;
    const Merge merge = merges_.find(link.symbol, links_[link.next].symbol);
    if (merge.rank != MergeTable::never) queue_.push({merge.rank, position, merge.token});
  }

  const MergeTable& merges_;
  std::vector<Link> links_;
  Queue queue_;
};

}  // namespace

void merge_symbols(std::vector<std::int32_t>& symbols, const MergeTable& merges) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= few) return merge_few(symbols, merges);
  LinkedMerge merge(symbols, merges);
  merge.run();
  merge.copy_to(symbols);
}

}  // namespace strata::tokenizer
