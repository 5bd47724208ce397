"""anectl that fails where threads of the process group are left at its end. Run as `python -m tests.ends_alone`.

Such a thread frees what was sent; one that waits for Python's lock when Python ends aborts the process.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command line, then look for threads of gloo's; where the system does not tell them, there are none."""
    from anectl.cli import main as anectl

    try:
        anectl()
    except SystemExit as stop:
        if stop.code:
            raise
    names = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
    left = sorted(name for name in names if "gloo" in name)
    if left:
        sys.exit(f"threads of the process group are left: {', '.join(left)}")


if __name__ == "__main__":
    main()
