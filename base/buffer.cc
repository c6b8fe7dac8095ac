#include "base/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace strata {

Buffer::Buffer(std::uint64_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    fail(Fault::budget, "memory: the system refused {}: {}", human_bytes(bytes), std::strerror(errno));
  data_ = static_cast<std::byte*>(memory);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void Buffer::grow(std::uint64_t bytes) {
  if (bytes <= size_) return;
  *this = Buffer();  // give back before asking for more
  *this = Buffer(bytes);
}

}  // namespace strata
