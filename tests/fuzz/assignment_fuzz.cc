// The input is an assignment.json, which people edit by hand.
#include <cstdint>

#include "engine/plan/assignment_file.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  fuzz::try_input([&] {
    const fuzz::MemoryFile file(data, size);
    const AssignmentFile parsed = AssignmentFile::read(file.path());
    constexpr std::string_view module = "model.layers.0.self_attn.q_proj";
    if (parsed.format_of(module) != nullptr)
      fuzz::expect(parsed.where(module).starts_with(file.path() + ":"), "a module that stands nowhere");
  });
  return 0;
}
