"""Starts runs of a program by forks of one that is loaded already.

Loading libtorch is most of what a short run of strata takes. A fork server (tests/fault/fork_server.h) has loaded it and
starts each run as a fork of itself. The run belongs to this process, a subreaper: it is signalled, waited for and counted
like any child, and `kill -9` is `kill -9`.
"""

import array
import atexit
import ctypes
import os
import socket
import subprocess
import threading

PR_SET_CHILD_SUBREAPER = 36
# Options that a fork has an answer to. Another environment, for one, is read while a program is loaded.
FORKABLE = {"stdin", "stdout", "stderr", "cwd", "text", "encoding", "errors", "bufsize"}


class Forked(subprocess.Popen):
    """A Popen whose process the server makes. All else is Popen's: pipes, timeouts, signals, exit codes."""

    def __init__(self, server, command, **options):
        self._server = server
        super().__init__(command, **options)

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
                       p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *others):
        try:
            standard = [own if own != -1 else inherited for inherited, own in enumerate((p2cread, c2pwrite, errwrite))]
            self.pid = self._server.start(args, cwd or os.getcwd(), standard)
            self._child_created = True
        finally:
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


class ForkServer:
    """`program --serve`, started with the first run; without a program (None) every run is an exec of its own."""

    def __init__(self, program):
        self.program, self.socket, self.process = program, None, None
        self.lock = threading.Lock()  # an answer is of the question before it

    def popen(self, command, *, real=False, **options):
        """As subprocess.Popen; `real` makes it an exec of command[0], as do options that a fork cannot obey."""
        if real or not self.program or options.keys() - FORKABLE:
            return subprocess.Popen(command, **options)
        return Forked(self, list(map(str, command)), **options)

    def run(self, command, *, capture_output=False, check=False, timeout=None, **options):
        """As subprocess.run, without `input`."""
        if capture_output:
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.popen(command, **options) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        completed = subprocess.CompletedProcess(command, process.returncode, out, err)
        if check:
            completed.check_returncode()
        return completed

    def start(self, words, folder, standard):
        """The id of a new process of this one with that working folder and those three descriptors."""
        where = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        with self.lock:
            if self.socket is None:
                self.open()
            try:
                descriptors = array.array("i", [where, *standard])
                self.socket.sendmsg(["".join(word + "\0" for word in words).encode()],
                                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            finally:
                os.close(where)
            answer = self.socket.recv(64)
        if not answer:
            raise RuntimeError(f"{self.program} --serve has ended with {self.process.wait()}")
        return int(answer)

    def open(self):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen([self.program, "--serve"], stdin=theirs, stdout=subprocess.DEVNULL)
        atexit.register(self.close)

    def close(self):
        self.socket.close()
        self.process.wait()
