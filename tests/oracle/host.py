"""Runs oracle scripts in forks of one Python that has imported torch and transformers already.

    host.py start                     starts a host, which ends with the parent of this command
    host.py run SCRIPT [ARGUMENT...]  runs the script in a fork of that parent's host

The imports are most of what a short oracle takes. Each script still is a test of its own for ctest, with its own process,
output, exit code and time limit, and can be run alone. A host belongs to one ctest, by whose process id the two commands
find each other: there is no file to go stale and nothing to stop. Where no host answers, `run` executes the script itself,
so that a host that failed costs time and no test.
"""

import array
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys

STARTED = b"started"


def address():
    return f"\0strata oracle host of {os.getppid()}"


def new_socket():
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def status_code(status):
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


# --- the client ------------------------------------------------------------------------------------------------------


def run(words):
    """The exit code of the script in a fork of the host, or None where there is none to fork."""
    with new_socket() as host:
        try:
            host.connect(address())
            request = json.dumps({"words": words, "folder": os.getcwd(), "environment": dict(os.environ)})
            host.sendmsg([request.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
            if host.recv(64) != STARTED:
                return None
        except OSError:
            return None
        code = host.recv(64)
        return int(code) if code else sys.exit("the process that waits for the script has ended")


# --- the host --------------------------------------------------------------------------------------------------------


def load():
    """What most oracles import, and what transformers imports when it is first used."""
    import compressed_tensors.compressors  # noqa: F401
    import compressed_tensors.quantization.lifecycle.forward  # noqa: F401
    import safetensors.numpy  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch  # noqa: F401
    import transformers.models.qwen3.modeling_qwen3  # noqa: F401
    import transformers.models.qwen3_moe.modeling_qwen3_moe  # noqa: F401
    import transformers.quantizers.auto  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401


def receive(client):
    _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != os.getuid():
        sys.exit("a client of another user")
    text, descriptors, _, _ = socket.recv_fds(client, 1 << 18, 3)
    return json.loads(text), descriptors


def become(request, descriptors):
    """In the new process: what an exec would have set up, and a group to end it by. Gives the words of the script."""
    os.setpgid(0, 0)
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return request["words"]


def attend(client):
    """In a process of its own: starts one script and says how it ended. Gives the words in the script's process."""
    request, descriptors = receive(client)
    script = os.fork()
    if script == 0:
        client.close()
        return become(request, descriptors)
    client.send(STARTED)
    ready, _, _ = select.select([client, os.pidfd_open(script)], [], [])
    if client in ready:  # it is gone, as when a test takes too long
        os.killpg(script, signal.SIGKILL)
    client.send(str(status_code(os.waitpid(script, 0)[1])).encode())
    os._exit(0)


def serve(listener, owner):
    """Until the owner ends. Gives the words of a script in the process that is to run it."""
    load()
    if len(os.listdir("/proc/self/task")) != 1:
        sys.exit("a fork would lose the threads that the imports have started")
    while True:
        ready = select.select([listener, owner], [], [])[0]
        if owner in ready:
            os._exit(0)
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return attend(client)
        client.close()
        reap()


def reap():
    """Those who attended to scripts that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def start():
    """Gives at once; clients wait in the queue while the host loads."""
    os.closerange(3, 1024)  # what is left open of ctest
    listener = new_socket()
    listener.bind(address())
    listener.listen(64)
    owner = os.pidfd_open(os.getppid())
    if os.fork() != 0:
        return None
    os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # ctest waits for all who hold its pipes
        os.dup2(silence, standard)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it starts its threads when it is loaded
    return serve(listener, owner)


def execute(words):
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1:2] == ["start"] and len(sys.argv) == 2:
        script = start()
        if script:
            execute(script)
    elif sys.argv[1:2] == ["run"] and len(sys.argv) > 2:
        code = run(sys.argv[2:])
        if code is None:
            os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
        sys.exit(code)
    else:
        sys.exit(__doc__)
