#include "tests/fault/fork_server.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>
#include <stdexcept>

namespace strata::test {
namespace {

constexpr std::size_t most_bytes = 1 << 18;  // of a message; a socket takes no longer ones
constexpr std::size_t descriptor_count = 4;  // working folder, stdin, stdout, stderr

struct Request {
  std::vector<std::string> words;
  std::array<int, descriptor_count> descriptors;
};

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    if (end == text.npos) throw std::runtime_error("a word of the message does not end");
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// nullopt when the other end is closed. `buffer` is the caller's, of most_bytes: AddressSanitizer keeps what is freed,
// and runs of the same command would take more memory from fork to fork.
std::optional<Request> receive(int socket, std::span<char> buffer) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(descriptor_count * sizeof(int))> control = {};
  iovec bytes = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  require(got >= 0, "recvmsg");
  if (got == 0) return std::nullopt;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  Request request;
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof request.descriptors))
    throw std::runtime_error("a message without its four descriptors, or too long");
  std::memcpy(request.descriptors.data(), CMSG_DATA(header), sizeof request.descriptors);
  request.words = split({buffer.data(), static_cast<std::size_t>(got)});
  request.words.erase(request.words.begin());  // there is one: text is not empty
  return request;
}

void close_all(const Request& request) {
  for (const int descriptor : request.descriptors) ::close(descriptor);
}

// In the new process: everything that an exec would have set up. The socket goes first; it may be stdin.
void take_place(int socket, const Request& request) {
  ::close(socket);
  require(::fchdir(request.descriptors[0]) == 0, "fchdir");
  for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; ++standard)
    require(::dup2(request.descriptors[static_cast<std::size_t>(standard) + 1], standard) >= 0, "dup2");
  close_all(request);
}

// The id of a process that runs the request. A child in between ends at once and so leaves it to the subreaper.
pid_t start(int socket, const Request& request, const std::function<int(std::vector<std::string>)>& run) {
  std::array<int, 2> ends;
  require(::pipe(ends.data()) == 0, "pipe");
  const pid_t between = ::fork();
  require(between >= 0, "fork");
  if (between == 0) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (const int end : ends) ::close(end);
      take_place(socket, request);
      const int code = run(request.words);
      std::fflush(nullptr);
      ::_exit(code);  // libtorch's destructors of globals take as long as half of its loading
    }
    ::_exit(::write(ends[1], &child, sizeof child) == sizeof child ? 0 : 1);
  }
  ::close(ends[1]);
  pid_t child = -1;
  const bool told = ::read(ends[0], &child, sizeof child) == sizeof child;
  ::close(ends[0]);
  require(::waitpid(between, nullptr, 0) == between && told && child > 0, "fork");
  return child;
}

void require_one_thread() {
  const auto count = std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  if (count != 1) throw std::runtime_error(fmt::format("{} threads before the fork; there must be 1", count));
}

}  // namespace

int serve_forks(int socket, const std::function<int(std::vector<std::string>)>& run) {
  try {
    require_one_thread();
    std::string buffer(most_bytes, '\0');
    while (const std::optional<Request> request = receive(socket, buffer)) {
      const std::string id = std::to_string(start(socket, *request, run));
      close_all(*request);
      require(::send(socket, id.data(), id.size(), MSG_NOSIGNAL) >= 0, "send");
    }
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "fork server: {}\n", error.what());
    return 1;
  }
}

}  // namespace strata::test
