// Hard limits on bytes of one resource (host memory, disk). A large buffer holds a Lease for as long as
// it lives; what is asked beyond the limit is refused with the names of those who hold the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace strata {

class Budget;

// Bytes held from a Budget, given back on destruction. Move-only.
class [[nodiscard]] Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();
  std::uint64_t bytes() const { return bytes_; }
  void shrink(std::uint64_t bytes);  // gives the rest back; `bytes` are at most those held

 private:
  friend class Budget;
  Lease(Budget* budget, std::uint64_t bytes, std::string holder);
  void release();
  Budget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::string holder_;
};

// Thread-safe. Outlives its leases.
class Budget {
 public:
  Budget(std::string name, std::uint64_t limit);
  // Error{budget} naming the limit and every holder. What somebody only keeps for later is asked for first.
  Lease take(std::uint64_t bytes, std::string_view holder);
  // nullopt when it does not fit.
  std::optional<Lease> try_take(std::uint64_t bytes, std::string_view holder);
  // Called by take(), in its thread, when something does not fit: gives back what can be spared. Empty: nothing.
  void on_shortage(std::function<void()> give_back);
  std::uint64_t limit() const { return limit_; }
  std::uint64_t used() const;
  std::uint64_t peak() const;

 private:
  friend class Lease;
  void give_back(std::uint64_t bytes, const std::string& holder);

  const std::string name_;
  const std::uint64_t limit_;
  mutable Mutex mutex_;
  std::uint64_t used_ STRATA_GUARDED_BY(mutex_) = 0, peak_ STRATA_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::uint64_t> holders_ STRATA_GUARDED_BY(mutex_);
  std::function<void()> on_shortage_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata
