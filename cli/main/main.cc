#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/memory.h"
#include "cli/program.h"

namespace {

// A closed standard descriptor would be given to the next file we open, and progress written into a shard.
void occupy_standard_descriptors() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  strata::keep_small_blocks();
  return strata::run_program(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
