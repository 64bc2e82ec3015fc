"""A process that ends with the one that started it, also where that one is killed (SIGKILL). Linux sees to it.

The operator's ``up``, the hospital's and the loopback start their parts so. Elsewhere than on Linux they are
processes like any other.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def exit_with_parent(command: Sequence[str]) -> list[str]:
    """Give the line that starts ``command`` so that it is killed when this process ends. Start it from the main thread.

    Linux watches the thread that started it: a thread that ends before its process takes the command with it.
    """
    # -P: a folder named `wardround` where the command is started must not be imported in its place.
    return [sys.executable, "-P", "-m", "wardround.protocol.exit_with_parent", str(os.getpid()), *command]


def exit_when_parent_exits(parent: int) -> None:
    """Have this process, just started by the process ``parent``, killed when that ends; at once where it has."""
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        # The parent may have ended before prctl was called; Linux sends no signal for that.
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Have this process killed with the one named first, and become the command that follows."""
    exit_when_parent_exits(int(sys.argv[1]))
    # exec keeps the wish: Linux drops it only for set-user-ID programs.
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
