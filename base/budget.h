// Hard limits on bytes of one resource (host memory, disk). A large buffer holds a Lease for as long as
// it lives; what is asked beyond the limit is refused with the names of those who hold the rest.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

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
  Lease take(std::uint64_t bytes, std::string_view holder);  // Error{budget} naming the limit and every holder
  std::uint64_t limit() const { return limit_; }
  std::uint64_t used() const;
  std::uint64_t peak() const;

 private:
  friend class Lease;
  void give_back(std::uint64_t bytes, const std::string& holder);

  const std::string name_;
  const std::uint64_t limit_;
  mutable std::mutex mutex_;
  std::uint64_t used_ = 0, peak_ = 0;            // guarded by mutex_
  std::map<std::string, std::uint64_t> holders_;  // guarded by mutex_
};

}  // namespace strata
