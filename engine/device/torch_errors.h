// What libtorch throws, in our terms.
#pragma once

#include <functional>

namespace strata {

// Runs `body`. An error of libtorch comes out as Error{budget} where memory was refused, as Error{bug} else, in one
// line; whatever else is thrown passes. Tensors have memory of our own (engine/device/tensor_memory.h), which refuses
// by Error{budget} or std::bad_alloc itself: what libtorch says in prose decides nothing.
void with_torch_errors(const std::function<void()>& body);

}  // namespace strata
