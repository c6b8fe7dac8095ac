#include "formats/tokenizer/word_cache.h"

#include <xxhash.h>

namespace strata::tokenizer {
namespace {
constexpr std::size_t slot_count = std::size_t{1} << 16;  // 3 MiB with the words
constexpr std::size_t most_words = slot_count / 2;
}  // namespace

WordCache::WordCache() : slots_(slot_count) {}

std::uint64_t WordCache::hash(std::string_view word) { return XXH3_64bits(word.data(), word.size()); }

WordCache::Slot& WordCache::slot_of(std::string_view word, std::uint64_t hash) {
  for (std::size_t i = hash % slot_count;; i = (i + 1) % slot_count) {
    Slot& slot = slots_[i];
    if (slot.bytes == 0) return slot;
    if (slot.hash == hash && std::string_view(text_).substr(slot.text, slot.bytes) == word) return slot;
  }
}

const std::span<const std::int32_t>* WordCache::find(std::string_view word, std::uint64_t hash) {
  const Slot& slot = slot_of(word, hash);
  if (slot.bytes == 0) return nullptr;
  found_ = std::span<const std::int32_t>(ids_).subspan(slot.first, slot.count);
  return &found_;
}

void WordCache::add(std::string_view word, std::uint64_t hash, std::span<const std::int32_t> ids) {
  if (used_ == most_words) clear();
  Slot& slot = slot_of(word, hash);
  slot = {hash, static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(word.size()),
          static_cast<std::uint32_t>(ids_.size()), static_cast<std::uint32_t>(ids.size())};
  text_ += word;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++used_;
}

void WordCache::clear() {
  slots_.assign(slot_count, {});
  text_.clear();
  ids_.clear();
  used_ = 0;
}

WordCachePool::Loan WordCachePool::borrow() {
  const MutexLock lock(mutex_);
  if (free_.empty()) return Loan(*this, std::make_unique<WordCache>());
  std::unique_ptr<WordCache> cache = std::move(free_.back());
  free_.pop_back();
  return Loan(*this, std::move(cache));
}

WordCachePool::Loan::~Loan() {
  const MutexLock lock(pool_.mutex_);
  pool_.free_.push_back(std::move(cache_));
}

}  // namespace strata::tokenizer
