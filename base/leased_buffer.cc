#include "base/leased_buffer.h"

namespace strata {

void LeasedBuffer::grow(std::uint64_t bytes) {
  if (bytes <= size()) return;
  buffer_ = Buffer();
  lease_ = Lease();
  lease_ = budget_->take(bytes, holder_);
  buffer_.grow(bytes);
}

}  // namespace strata
