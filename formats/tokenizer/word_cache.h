// Remembers the tokens of words.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace strata::tokenizer {

// Not thread-safe: each encoding borrows one from the pool. Bounded: it starts over when it is full.
class WordCache {
 public:
  static constexpr std::size_t longest_word = 128;  // bytes

  WordCache();
  static std::uint64_t hash(std::string_view word);
  // nullptr when it is not there. The span is good until the next add().
  const std::span<const std::int32_t>* find(std::string_view word, std::uint64_t hash);
  void add(std::string_view word, std::uint64_t hash, std::span<const std::int32_t> ids);

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t text = 0, bytes = 0;  // bytes == 0: the slot is free
    std::uint32_t first = 0, count = 0;
  };
  Slot& slot_of(std::string_view word, std::uint64_t hash);
  void clear();
  std::vector<Slot> slots_;
  std::string text_;
  std::vector<std::int32_t> ids_;
  std::size_t used_ = 0;
  std::span<const std::int32_t> found_;
};

// Lends caches to threads. Thread-safe.
class WordCachePool {
 public:
  class Loan {
   public:
    Loan(WordCachePool& pool, std::unique_ptr<WordCache> cache) : pool_(pool), cache_(std::move(cache)) {}
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    WordCache& operator*() { return *cache_; }

   private:
    WordCachePool& pool_;
    std::unique_ptr<WordCache> cache_;
  };
  Loan borrow();

 private:
  Mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> free_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::tokenizer
