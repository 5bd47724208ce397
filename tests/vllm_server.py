"""A real vLLM server on loopback, from whichever environment has vLLM; it dies with all its processes."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "examples/tinyworld/base"
MODEL = "tiny"
START_S = 180
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
# dtype and the sampling defaults are said, since vLLM would take bfloat16 and the checkpoint's generation_config.
_OPTIONS = (
    *("--dtype", "float32", "--generation-config", "vllm", "--enforce-eager", "--seed", "0"),
    *("--max-model-len", "512", "--max-num-seqs", "64", "--block-size", "32"),
    *("--kv-cache-memory-bytes", str(1 << 28), "--limit-mm-per-prompt", '{"image": 3, "video": 0}'),
)

# Between the tests and vLLM: kills the group when the tests are gone, however they went.
_GUARD = """
import os, signal, subprocess, sys, threading
def end_with_the_tests():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
running = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=end_with_the_tests, daemon=True).start()
sys.exit(running.wait())
"""


def vllm_python() -> str | None:
    """The interpreter that has vLLM: ANECTL_VLLM_PYTHON, that of .venv-vllm, or this one."""
    named = os.environ.get("ANECTL_VLLM_PYTHON")
    if named:
        return named
    if (ROOT / ".venv-vllm/.ready").is_file():  # an environment that is still being installed has a python too
        return str(ROOT / ".venv-vllm/bin/python")
    return sys.executable if importlib.util.find_spec("vllm") else None


class VllmServer:
    """Serves the tiny world's base as `tiny`, in a process group of its own; the port stays over restarts."""

    def __init__(self, log: Path) -> None:
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> VllmServer:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def launch(self) -> None:
        """Start the process and do not wait for it."""
        python = vllm_python()
        assert python, "no environment with vLLM"
        place = ("--model", str(BASE), "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(self._port))
        self._log = self._log_path.open("ab")
        self._process = subprocess.Popen(
            [python, "-c", _GUARD, python, "-m", "vllm.entrypoints.openai.api_server", *place, *_OPTIONS],
            env=os.environ | _SETTINGS,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the end of its log when it does not."""
        self.launch()
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process and self._process.poll() is None:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(self.url.removesuffix("/v1") + "/health", timeout=2).close()
                return
            time.sleep(0.1)
        raise RuntimeError(f"vLLM did not start:\n{self._log_path.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """SIGKILL to the whole group: vLLM's engine process would outlive its parent."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None
