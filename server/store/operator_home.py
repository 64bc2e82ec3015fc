"""The operator's home folder: keys, certificates, the hospitals let in, and one folder per study.

    HOME/operator.json         the address at which hospitals reach the server
    HOME/operator.key          signs terms and plans (its public half, .pub, goes into every kit)
    HOME/tls/                  root.{crt,key}: the certificate authority; server.{crt,key}: the SuperLink's
    HOME/secrets/              control: who may submit a run; executor: who may carry one out;
                               look: who may ask which hospitals are connected, and nothing else
    HOME/hospitals/NAME.json   a hospital's accepted request to join; removing it revokes the hospital
    HOME/heads/NAME.heads      the newest ledger heads of a hospital, over all studies (server.store.held_heads)
    HOME/policies/NAME.policy  what a hospital chose to publish of its policy, for ``forecast``
    HOME/studies/NAME/         terms, checkpoints/, evaluations/, secure_sum/, events.jsonl, release_decision.json,
                               exception.signed, model with its signature, card, reports, model.recall
                               (of a query instead: query/, feasibility.json or uplift.json, and .txt)
    HOME/plugins.yaml          models and rules of the operator's own, if any (protocol.plugin_file)
    HOME/superlink/            Flower's own state, and the empty folder that its process runs in

Everything but the public halves is readable by its owner alone.
"""

from dataclasses import dataclass, field
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import paths_in, read_bounded, read_private
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import checked_name, is_name
from wardround.protocol.wire.kit import JoinRequest, checked_address, load_join_request
from wardround.protocol.wire.recall import RECALL
from wardround.protocol.wire.signed_file import EarlierForm
from wardround.protocol.wire.signed_model import MODEL
from wardround.protocol.wire.signed_terms import SignedTerms, load_terms
from wardround.protocol.wire.signing import SigningKey, load_key
from wardround.server.store.held_heads import HeldHeads

SETTINGS = "operator.json"
ASIDE, STAGING = "aside", ".restored"
"""What ``restore`` leaves in a home, and no backup takes: ``aside1``, …, and what it had not put in place yet."""
CONTROL, LOOK = "control", "look"
"""Secrets: of commands that submit and stop runs, and of processes that only watch."""
_LARGEST = 10_000


@dataclass(frozen=True, eq=False)
class OperatorHome:
    """Where everything of an operator lies. address: ``HOST:PORT`` as hospitals dial it."""

    folder: Path
    address: str

    @property
    def port(self) -> int:
        """The address's port."""
        return int(self.address.rpartition(":")[2])

    @property
    def local_address(self) -> str:
        """The same server, as this machine's own commands reach it."""
        return f"127.0.0.1:{self.port}"

    def key(self) -> SigningKey:
        """Read the key that signs terms and plans."""
        return load_key(self.folder / "operator.key")

    def tls(self, name: str) -> Path:
        """Name a file of the certificates' folder."""
        return self.folder / "tls" / name

    def secret(self, name: str) -> bytes:
        """Read a shared secret; refuses a file that others may read."""
        path = self.folder / "secrets" / name
        try:
            return read_private(path, "secret", _LARGEST)
        except OSError as error:
            remedy = "restart up, which makes it" if name == LOOK else "run provision"
            raise ConfigurationError(f"secret={path}: cannot be read; {remedy}") from error

    def hospitals(self) -> dict[str, JoinRequest]:
        """Read every hospital that was let in and not revoked, by name; who is in ``unread_hospitals`` is not in it."""
        return self._enrolled()[0]

    def unread_hospitals(self) -> dict[str, str]:
        """Say by name why a hospital's file cannot be read: it is not enrolled, and keeps no other one out."""
        return self._enrolled()[1]

    def _enrolled(self) -> tuple[dict[str, JoinRequest], dict[str, str]]:
        found, unread = dict[str, JoinRequest](), dict[str, str]()
        for path in paths_in(self.folder / "hospitals", ".json"):
            try:
                found[path.stem] = read_enrolled(path)
            except ConfigurationError as error:
                unread[path.stem] = str(error)
        return found, unread

    @property
    def heads(self) -> HeldHeads:
        """The newest ledger heads of all hospitals."""
        return HeldHeads(self.folder / "heads")

    def study(self, name: str) -> "StudyFolder":
        """Name a study's folder."""
        return StudyFolder(self.folder / "studies" / checked_name(name, "study"))

    def studies(self) -> "list[StudyFolder]":
        """Name all studies' folders, in order; what bears no study's name (lost+found, say) is none."""
        found = paths_in(self.folder / "studies")
        return [StudyFolder(path) for path in found if path.is_dir() and is_name(path.name)]


@dataclass(frozen=True, eq=False)
class StudyFolder:
    """One study's files at the operator."""

    folder: Path
    terms: Path = field(init=False)
    checkpoints: Path = field(init=False)
    events: Path = field(init=False)
    stop: Path = field(init=False)
    model: Path = field(init=False)
    run: Path = field(init=False)
    evaluations: Path = field(init=False)
    query: Path = field(init=False)
    sums: Path = field(init=False)
    release_decision: Path = field(init=False)
    exception: Path = field(init=False)
    recall: Path = field(init=False)
    lock: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name the files."""
        names = {
            "terms": "study.terms",
            "checkpoints": "checkpoints",
            "events": "events.jsonl",
            "stop": "stop",
            "model": MODEL,
            "run": "run",
            "evaluations": "evaluations",
            "query": "query",
            "sums": "secure_sum",
            "release_decision": "release_decision.json",
            "exception": "exception.signed",
            "recall": RECALL,
            "lock": "lock",
        }
        for part, name in names.items():
            object.__setattr__(self, part, self.folder / name)

    def signed_terms(self) -> SignedTerms:
        """Read the study's terms; ConfigurationError where this release cannot go on with them, and which one can."""
        try:
            return load_terms(self.terms)
        except EarlierForm as error:
            raise ConfigurationError(
                f"study={self.folder.name}: its terms are of an earlier release, in a form that this one does not "
                "read: that release can end the study; what hospitals charged stays charged; for a new study choose "
                "another name"
            ) from error


def read_enrolled(path: Path) -> JoinRequest:
    """Read an enrolled hospital. Its file must bear its own name, or one hospital could answer as another."""
    asked = load_join_request(path)
    if asked.hospital != path.stem:
        raise ConfigurationError(f"request={path}: is {asked.hospital}'s; remove it, and enrol the right one")
    return asked


def is_of_restore(name: str) -> bool:
    """Whether ``restore`` gave this name to something in a home."""
    return name == STAGING or (name.startswith(ASIDE) and name[len(ASIDE) :].isdigit())


def require_no_restore(folder: Path) -> None:
    """ConfigurationError where a restore was broken off in a folder that is no home any more, or not yet."""
    if folder.is_dir() and any(is_of_restore(path.name) for path in folder.iterdir()):
        raise ConfigurationError(
            f"home={folder}: a restore was broken off here; run the same wardround-serve restore again"
        )


def load_operator_home(folder: Path) -> OperatorHome:
    """Read an operator's home; ConfigurationError where it was never provisioned."""
    # The SuperLink runs in a folder of its own, from where a relative path would lead elsewhere.
    folder = folder.absolute()
    try:
        plain = read_json(read_bounded(folder / SETTINGS, _LARGEST), _LARGEST)
        return OperatorHome(folder, checked_address(plain["address"]))
    except FileNotFoundError as error:
        require_no_restore(folder)
        raise ConfigurationError(
            f"home={folder}: holds no {SETTINGS}; run wardround-serve provision --home {folder} first"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"home={folder}: {SETTINGS} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"home={folder / SETTINGS}: must hold an address") from error
