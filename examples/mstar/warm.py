"""anectl without its start: a process that has loaded the libraries forks for every command.

    python warm.py serve SOCKET MODULE ... &       loads the modules, then serves
    python -S warm.py run SOCKET COMMAND ...       in place of `anectl COMMAND ...`

The example has hundreds of commands, and with a model of a million parameters most of them take as long to import their
libraries as to work. Without a server a command is started as ever. What a command has open, where it is and how it
ends are as if it had been started; it ends when its caller is killed, and the server when whoever started it is gone.
"""

import ctypes
import fcntl
import gc
import json
import os
import signal
import socket
import sys
import traceback

OPEN = (0, 1, 2)


def serve(address, modules):
    """Fork for every connection, for as long as the process lives that started this one."""
    parent = os.getppid()
    for name in modules:
        __import__(name)
    small_pages()
    # What is here stays: no collection in a child is to go over it.
    gc.freeze()
    # The system buries the children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if os.path.exists(address):
        os.unlink(address)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        # An interrupted make leaves no server behind: the shell that has started it in the background is gone then.
        server.settimeout(1.0)
        while os.getppid() == parent:
            try:
                caller, _ = server.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                server.close()
                answer(caller)
            caller.close()


def small_pages():
    """Let no command have huge pages of memory, which the system clears before it hands them out.

    TRL computes its loss in a buffer of 32,768 columns; the tiny vocabulary fills 567, and with huge pages the rest
    of every row is cleared at every step as well, for which a fifth of a training run is spent.
    """
    disable = 41  # PR_SET_THP_DISABLE
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(disable, 1, 0, 0, 0)


def answer(caller):
    """Do what the caller asks for, tell it the exit code, and end this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, handed, _, _ = socket.recv_fds(caller, 1 << 16, len(OPEN))
    while more := caller.recv(1 << 16):
        text += more
    asked = json.loads(text)
    for number, given in zip(OPEN, handed, strict=True):
        os.dup2(given, number)
        os.close(given)
    os.chdir(asked["folder"])
    sys.argv = ["anectl", *asked["words"]]
    code = 1
    try:
        # SIGIO ends this process when the caller is gone.
        fcntl.fcntl(caller, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(caller, fcntl.F_SETFL, fcntl.fcntl(caller, fcntl.F_GETFL) | os.O_ASYNC)
        from anectl.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        fcntl.fcntl(caller, fcntl.F_SETFL, 0)
        caller.sendall(bytes([code]))
        os._exit(code)


def run(address, words):
    """The exit code of a command."""
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
        except OSError:
            os.execv(os.path.join(os.path.dirname(sys.executable), "anectl"), ["anectl", *words])
        text = json.dumps({"folder": os.getcwd(), "words": words}).encode()
        sent = socket.send_fds(server, [text], list(OPEN))
        server.sendall(text[sent:])
        # The end of the request: from here on only the caller's own end is news to the command.
        server.shutdown(socket.SHUT_WR)
        code = server.recv(1)
        # The socket closes when the command is gone, as one that was started is gone when its caller goes on.
        server.recv(1)
        return code[0] if code else 1


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(run(sys.argv[2], sys.argv[3:]))
