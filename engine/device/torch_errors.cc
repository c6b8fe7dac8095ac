#include "engine/device/torch_errors.h"

#include <c10/util/Exception.h>

#include <string>

#include "base/error.h"

namespace strata {

// libtorch's texts carry a stack trace below their first line.
static std::string first_line(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

void with_torch_errors(const std::function<void()>& body) {
  try {
    body();
  } catch (const c10::OutOfMemoryError& error) {
    fail(Fault::budget, "memory: {}; fewer --threads or shorter windows need less", first_line(error));
  } catch (const c10::Error& error) {
    fail(Fault::bug, "libtorch: {}", first_line(error));
  }
}

}  // namespace strata
