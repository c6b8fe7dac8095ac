#include "base/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

extern char** environ;

namespace strata {
namespace {

class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

std::string read_all(int fd, const std::string& name) {
  std::string text;
  std::array<char, 65536> block{};
  while (true) {
    const ssize_t count = read(fd, block.data(), block.size());
    if (count == 0) return text;
    if (count > 0) text.append(block.data(), static_cast<std::size_t>(count));
    if (count < 0 && errno != EINTR) fail(Fault::io, "{}: reading its output failed: {}", name, std::strerror(errno));
  }
}

int wait_for(pid_t child, const std::string& name) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail(Fault::io, "{}: waiting for it failed: {}", name, std::strerror(errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::optional<ChildResult> run_child(const std::vector<std::string>& arguments) {
  const std::string& name = arguments.at(0);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail(Fault::io, "{}: no pipe: {}", name, std::strerror(errno));
  FileActions actions;
  posix_spawn_file_actions_adddup2(actions.get(), ends[1], STDOUT_FILENO);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, name.c_str(), actions.get(), nullptr, argv.data(), environ);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    if (error == ENOENT) return std::nullopt;
    fail(Fault::io, "{}: it could not be started: {}", name, std::strerror(error));
  }
  ChildResult result;
  result.output = read_all(ends[0], name);
  close(ends[0]);
  result.exit_code = wait_for(child, name);
  return result;
}

std::string program_path() { return real_path("/proc/self/exe"); }

}  // namespace strata
