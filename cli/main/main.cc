#include <string>
#include <vector>

#include "base/memory.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  strata::keep_small_blocks();
  return strata::run_program(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
