// A fork server: starts a program that is loaded already. Loading libtorch takes most of a short run; a fork takes
// milliseconds. The tests that start hundreds of runs use it (tests/cli/fork_server.py is the other end).
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace strata::test {

// Serves until the other end of `socket` (SOCK_SEQPACKET) is closed, then gives 0. A message asks for one run: its
// words, as argv has them, each ended by a NUL; and four descriptors: working folder, stdin, stdout, stderr. The answer
// is the id of the new process, in decimal. That process calls `run`, without the first word, and exits with what it
// returns, globals not destroyed. It is no child of the server: its parent is the next ancestor that is a subreaper
// (prctl), which signals it and waits for it as for any child.
//
// REQUIRES: no other thread in the process, here and later: a fork would lose it. Gives 1, with a line on stderr, where
// there is one, or where a message is not as it must be.
int serve_forks(int socket, const std::function<int(std::vector<std::string>)>& run);

}  // namespace strata::test
