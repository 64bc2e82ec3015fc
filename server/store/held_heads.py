"""The newest ledger entry of each hospital that this operator knows of, over all of its studies.

A hospital whose ledger was put back, copied or cut lacks an entry that a release named. The operator names the
newest one in every plan, and such a hospital refuses before it computes anything.

    HOME/heads/NAME.heads     one hash a line, in the order in which they were first heard; the last is the newest

A head is public (it commits to 128 random bits of the hospital's), and no secret follows from it.
"""

from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import paths_in, read_bounded, write_durably
from wardround.protocol.text.text import checked_name, is_digest
from wardround.protocol.turns import in_turn

KEPT = 1000
"""Heads of one hospital that are kept. An older one that comes again (a stored answer) must not pass for new."""


class HeldHeads:
    """One operator's folder of heads."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when the first head comes."""
        self._folder = folder

    def newest(self, hospital: str) -> str | None:
        """Give the newest head of a hospital; None before its first release to this operator."""
        heads = self._read(hospital)
        return heads[-1] if heads else None

    def known(self, hospital: str) -> tuple[str, ...]:
        """Give all heads of a hospital that are kept, the newest last."""
        return tuple(self._read(hospital))

    def hospitals(self) -> tuple[str, ...]:
        """Name the hospitals of which a head is kept; OSError where nobody can tell."""
        return tuple(path.stem for path in paths_in(self._folder, ".heads"))

    def keep(self, hospital: str, head: str) -> None:
        """Keep the head of a release that its hospital signed, durably; one heard before changes nothing."""
        if not is_digest(head):
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with in_turn(self._folder / ".lock"):  # two studies of one operator hear of one hospital
            heads = self._read(hospital)
            if head not in heads:
                lines = "".join(f"{one}\n" for one in [*heads, head][-KEPT:])
                write_durably(self._path(hospital), lines.encode("ascii"))

    def _read(self, hospital: str) -> list[str]:
        path = self._path(hospital)
        try:
            # 65: 64 hexadecimal digits and a line feed.
            content = read_bounded(path, 65 * KEPT).decode("ascii", "replace")
        except FileNotFoundError:
            return []
        heads = content.split()
        if len(heads) > KEPT or not all(map(is_digest, heads)):
            raise ConfigurationError(
                f"heads={path}: must hold one head of 64 hexadecimal digits a line; restore it from a backup, or "
                "write the head there that the hospital's own status shows"
            )
        return heads

    def _path(self, hospital: str) -> Path:
        return self._folder / f"{checked_name(hospital)}.heads"
