#include "base/budget.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace strata {

Lease::Lease(Budget* budget, std::uint64_t bytes, std::string holder)
    : budget_(budget), bytes_(bytes), holder_(std::move(holder)) {}

Lease::Lease(Lease&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      holder_(std::move(other.holder_)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    holder_ = std::move(other.holder_);
  }
  return *this;
}

Lease::~Lease() { release(); }

void Lease::shrink(std::uint64_t bytes) {
  if (bytes > bytes_) fail(Fault::bug, "{}: a lease of {} bytes cannot shrink to {}", holder_, bytes_, bytes);
  if (budget_ != nullptr) budget_->give_back(bytes_ - bytes, holder_);
  bytes_ = bytes;
}

void Lease::release() {
  if (budget_ != nullptr) budget_->give_back(bytes_, holder_);
  budget_ = nullptr;
  bytes_ = 0;
}

Budget::Budget(std::string name, std::uint64_t limit) : name_(std::move(name)), limit_(limit) {}

std::optional<Lease> Budget::try_take(std::uint64_t bytes, std::string_view holder) {
  const MutexLock lock(mutex_);
  if (bytes > limit_ - used_) return std::nullopt;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  holders_[std::string(holder)] += bytes;
  return Lease(this, bytes, std::string(holder));
}

Lease Budget::take(std::uint64_t bytes, std::string_view holder) {
  if (std::optional<Lease> lease = try_take(bytes, holder)) return std::move(*lease);
  std::function<void()> give_back;
  {
    const MutexLock lock(mutex_);
    give_back = on_shortage_;
  }
  if (give_back) give_back();
  if (std::optional<Lease> lease = try_take(bytes, holder)) return std::move(*lease);
  const MutexLock lock(mutex_);
  std::string held;
  for (const auto& [name, amount] : holders_)
    if (amount > 0) held += fmt::format(", {} for {}", human_bytes(amount), name);
  fail(Fault::budget, "{}: {} for {} do not fit: {} of {} are in use{}", name_, human_bytes(bytes), holder,
       human_bytes(used_), human_bytes(limit_), held);
}

void Budget::on_shortage(std::function<void()> give_back) {
  const MutexLock lock(mutex_);
  on_shortage_ = std::move(give_back);
}

std::uint64_t Budget::used() const {
  const MutexLock lock(mutex_);
  return used_;
}

std::uint64_t Budget::peak() const {
  const MutexLock lock(mutex_);
  return peak_;
}

void Budget::give_back(std::uint64_t bytes, const std::string& holder) {
  const MutexLock lock(mutex_);
  used_ -= bytes;
  holders_[holder] -= bytes;
}

}  // namespace strata
