"""plugins.yaml: what the words in terms stand for on this machine. It lies in a hospital's or an operator's home.

    models:                                    # hospital and operator
      risk_net: mypackage.models:RiskNet
    aggregation_rules:                         # the operator alone
      equal_say: mypackage.rules:equal_say
    optimizers:                                # the operator alone
      signs: mypackage.rules:Signs

The import paths are this installation's own. No path ever comes from a wire: terms carry the word.
"""

from collections.abc import Mapping
from pathlib import Path

from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section, shown

PLUGINS = "plugins.yaml"
GROUPS = {"models": "model", "aggregation_rules": "aggregate", "optimizers": "optimizer"}
"""The file's groups, and the role of what stands in each."""
HOSPITAL_GROUPS = ("models",)
"""What a hospital runs: how releases are joined is the operator's affair."""

OwnWords = Mapping[str, Mapping[str, str]]
"""Import path by word, by role."""


def read_plugins(
    folder: Path, shipped: Mapping[str, tuple[str, ...]], groups: tuple[str, ...] = tuple(GROUPS)
) -> OwnWords:
    """Read ``plugins.yaml`` of a home folder; nothing is imported, and no file is as good as an empty one.

    shipped: by role, the words that cannot be given another meaning. groups: those that may stand in the file.
    ConfigurationError, one line, for whatever is wrong, also where others may write the file: what it names runs.
    """
    path = folder / PLUGINS
    try:
        if not path.exists():
            return {}
        mode, content = path.stat().st_mode, read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(f"plugins={path}: cannot be read ({error.strerror})") from error
    require(
        not mode & 0o022, "plugins", path, f"others may write it (mode {mode & 0o777:o}); chmod go-w {path}"
    )
    section = Section(read_yaml(content, PLUGINS), PLUGINS)
    found = {GROUPS[group]: _words(section.section(group, {}), shipped[GROUPS[group]]) for group in groups}
    section.finish()
    return found


def declare_plugins(words: OwnWords) -> None:
    """Make the file's words known to this process; each is imported when it is first needed."""
    for role, paths in words.items():
        for word, path in paths.items():
            plugins.declare(role, word, path)


def _words(section: Section, shipped: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for word in section.keys():  # noqa: SIM118 (a Section is no mapping)
        where = f"{section.path}.{shown(word)}"
        require(
            plugins.is_word(word), section.path, shown(word), "must be a word of a-z, 0-9 and _, at most 40"
        )
        if word in shipped:
            raise ConfigurationError(f"{where}: is a word of Wardround's own; choose another")
        found[word] = section.text(word)
        plugins.check_path(found[word], where)
    return found
