"""A hospital's home folder, read once and checked: what the agent and the commands stand on.

    HOME/hospital.yaml     this file's settings (below)
    HOME/policy.yaml       the hospital's limits (client.policy.policy_file), read again at every plan
    HOME/people.yaml       who decides about messages to patients, and in which role (client.policy.people)
    HOME/ledger.sqlite     the record of every release (client.ledger.sqlite)
    HOME/keys/hospital.key the Ed25519 key that signs releases and the ledger
    HOME/keys/patients.key 64 hexadecimal digits: the secret behind patients' tokens; never changed, never shared
    HOME/rounds.jsonl      how each round was computed, for the hospital's own people (client.home.round_log)
    HOME/plugins.yaml      models of the hospital's own, by the words of terms, if any (protocol.plugin_file)
    HOME/servers.json      which release each operator's server is (client.home.server_releases)
    HOME/peers/            peer files of other hospitals, one for each signer (client.home.peers_folder)
    HOME/terms/            signed terms that arrived, one file each; whether they are approved the ledger says
    HOME/sums/             keys of secure sums, one file for each study until it expires; no backup should hold them
    HOME/preferences.yaml  the patients' page, if there is one (client.outreach.by_page), and keys/preferences.key
    HOME/withdrawals.jsonl what patients took back by a reply or a call (client.connectors.withdrawals), and its .head
    HOME/opt-outs.json     how many rows of the tables took something back (client.checks.opt_outs)
    HOME/recalls/          models that operators recalled, one signed file each (client.outreach.recalls)
    HOME/evidence/         what operators signed of sums' survivors, to prove a lie (client.secure_sum.evidence)

hospital.yaml:

    hospital: north                      # the name by which terms and plans know this hospital
    timezone: Europe/Madrid              # in which days begin and end; UTC if it is not set
    patient:                             # who is one patient, for all contracts and tables
      column: pat_no                     # your column; a table may name another: tables.consents.patient
      form: text                         # text, number or uuid; see docs/hospital.md
    socket: run/agent.sock               # where the agent listens; its folder is the agent's own
    tables:                              # where the tables are, see client.connectors.mapping
      messages: {path: tables/messages.csv}
    # Written by `init --simulation` alone, for invented patients; real studies refuse such a hospital:
    # simulation: {seed: 7, as_of: 2026-01-01T00:00:00+00:00}

Paths are relative to the home folder.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.patient_form import AS_WRITTEN, PatientColumn, patient_from_section
from wardround.client.connectors.source import TableSource
from wardround.client.connectors.table_format import zone_from_section
from wardround.client.connectors.withdrawals import WITHDRAWALS, WithdrawalList, WithWithdrawals
from wardround.client.home.peers_folder import kept_peers
from wardround.client.home.round_log import RoundLog
from wardround.client.home.server_releases import ServerReleases
from wardround.client.ledger.sqlite import SqliteLedger, open_ledger
from wardround.client.policy.policy import Policy
from wardround.client.policy.policy_file import PolicyFile
from wardround.client.secure_sum.evidence import SumEvidence
from wardround.client.secure_sum.studies import SumStudies
from wardround.client.secure_sum.study_keys import StudyKeyFiles
from wardround.protocol.errors import ConfigurationError, LedgerError
from wardround.protocol.files import read_bounded, read_private
from wardround.protocol.installed import installed_version
from wardround.protocol.plugin_file import HOSPITAL_GROUPS, declare_plugins, read_plugins
from wardround.protocol.terms.settings import SHIPPED
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section
from wardround.protocol.text.text import is_digest
from wardround.protocol.wire.signing import SigningKey, load_key

SETTINGS, POLICY, LEDGER, ROUNDS = "hospital.yaml", "policy.yaml", "ledger.sqlite", "rounds.jsonl"
SERVERS, SUMS, PEERS, EVIDENCE = "servers.json", "sums", "peers", "evidence"
CONTENT, APPROVALS, RECALLS = "content", "approvals", "recalls"
KEYS, HOSPITAL_KEY, PATIENTS_KEY, TERMS = "keys", "keys/hospital.key", "keys/patients.key", "terms"
LONGEST_SOCKET = 100  # bytes of a Unix socket's path, of the 107 that Linux takes
LARGEST_SEED = 2**63 - 1
_OTHER_KIND = {
    True: "hospital.yaml says `simulation`, but this ledger is a real hospital's: nothing is answered; find out who "
    "wrote that line and remove it (to make a simulated home, run init --simulation in a folder of its own)",
    False: "this ledger is a simulated hospital's, but hospital.yaml does not say `simulation`: put the line back, "
    "or make a real home in another folder (init)",
}


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What makes a hospital a simulated one: noise from a seed, and the time that its gate takes for now."""

    seed: int
    as_of: datetime | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Home:
    """One hospital's settings and secrets. patients_key: the secret behind tokens and the training split.

    own_models: the words that plugins.yaml maps to models of this installation.
    """

    folder: Path
    hospital: str
    socket: Path
    timezone: str
    patient: PatientColumn
    timezone_is_set: bool
    source: TableSource = field(repr=False)
    key: SigningKey
    patients_key: bytes = field(repr=False)
    simulation: Simulation | None = None
    own_models: tuple[str, ...] = ()

    def date(self, now: datetime) -> date:
        """Give the day that a time falls on in the hospital's own zone."""
        return now.astimezone(ZoneInfo(self.timezone)).date()

    @property
    def policy(self) -> PolicyFile:
        """The policy's file; ``current()`` reads it."""
        return PolicyFile(self.folder / POLICY)

    @property
    def round_log(self) -> RoundLog:
        """How each round was computed."""
        return RoundLog(self.folder / ROUNDS)

    @property
    def server_releases(self) -> ServerReleases:
        """Which release each operator's server is."""
        return ServerReleases(self.folder / SERVERS)

    @property
    def study_keys(self) -> StudyKeyFiles:
        """Keys of secure sums, by study."""
        return StudyKeyFiles(self.folder / SUMS)

    def sums(self, ledger: SqliteLedger) -> SumStudies | None:
        """Give this hospital's part in secure sums; a simulated one has none, and its integers are not masked."""
        if self.simulation is not None:
            return None
        return SumStudies(self.hospital, self.key, ledger, self.study_keys, self.sum_evidence)

    @property
    def sum_evidence(self) -> SumEvidence:
        """What operators signed of sums' survivors."""
        return SumEvidence(self.folder / EVIDENCE)

    @property
    def recalls(self) -> Path:
        """Where recalls of models are kept."""
        return self.folder / RECALLS

    @property
    def terms_folder(self) -> Path:
        """Where arrived terms are kept."""
        return self.folder / TERMS

    @property
    def peers_folder(self) -> Path:
        """Where other hospitals' peer files are kept."""
        return self.folder / PEERS

    @property
    def withdrawals(self) -> WithdrawalList:
        """What patients took back by a reply, a call or a complaint."""
        return WithdrawalList(self.folder / WITHDRAWALS)

    @property
    def content_folder(self) -> Path:
        """Where the modules of messages are, and the guidelines for them."""
        return self.folder / CONTENT

    @property
    def approvals_folder(self) -> Path:
        """Where it is kept which modules were approved and retired, and by whom."""
        return self.folder / APPROVALS

    @property
    def identity(self) -> dict[str, str]:
        """This hospital's own name and signing key, as a peer of others has them."""
        return {self.hospital: self.key.public}

    def in_force(self, policy: Policy) -> Policy:
        """Give a policy as it is applied here: with the home's own models, its own name and key, and its vouchers.

        A simulated hospital permits simulations alone, and needs no delay.
        """
        if self.simulation is None:
            # A voucher is worth something only from a peer: without any, no file is read.
            vouchers = kept_peers(self.peers_folder).files if policy.peers else ()
            return replace(policy, own_models=self.own_models, identity=self.identity, vouchers=vouchers)
        return replace(policy, simulation=True, min_reply_delay_seconds=0.0)

    def clock(self) -> datetime:
        """Give the time: the machine's, or a simulated hospital's own date where it has one."""
        if self.simulation is not None and self.simulation.as_of is not None:
            return self.simulation.as_of
        return datetime.now(UTC)

    def gate_now(self, ledger: SqliteLedger, now: datetime) -> datetime:
        """Give what the gate takes for now: never behind the ledger's last entry, but for a simulated date."""
        standing = self.simulation is not None and self.simulation.as_of is not None
        return now if standing else ledger.now(now)

    def open_ledger(self) -> SqliteLedger:
        """Open the ledger; LedgerError where it is missing, altered, or another hospital's.

        Also where settings and ledger differ on whether this home is a simulated one: whoever can write
        hospital.yaml must not turn a real hospital's noise into one that a seed gives away (rule 9).
        """
        ledger = open_ledger(self.folder / LEDGER, self.key, program_version())
        if ledger.simulated == (self.simulation is not None):
            return ledger
        ledger.close()
        raise LedgerError(_OTHER_KIND[self.simulation is not None])


def load_home(folder: Path) -> Home:
    """Read hospital.yaml, plugins.yaml and the keys; ConfigurationError is one line with the remedy.

    Neither tables nor policy nor ledger are opened here: they may be missing until they are needed. Nor is a plugin
    imported before a study needs it.
    """
    folder = folder.absolute()
    section = Section(_read_yaml(folder / SETTINGS), "hospital.yaml")
    socket = folder / section.text("socket", "run/agent.sock")
    if len(str(socket).encode()) > LONGEST_SOCKET:
        raise ConfigurationError(
            f"hospital.yaml.socket={socket}: at most {LONGEST_SOCKET} bytes; use a shorter path"
        )
    tables = section.value("tables")
    if not isinstance(tables, dict):
        raise section.fail(
            "tables", "must name the messages, and the patients and consents if there are such tables"
        )
    own_zone = zone_from_section(section, "timezone")
    timezone = own_zone or "UTC"
    words = read_plugins(folder, SHIPPED, HOSPITAL_GROUPS)
    declare_plugins(words)
    patient = _patient(section)
    home = Home(
        folder=folder,
        hospital=section.name("hospital"),
        socket=socket,
        timezone=timezone,
        timezone_is_set=own_zone is not None,
        patient=patient,
        source=WithWithdrawals(
            source_from_mapping(tables, folder, timezone, patient), WithdrawalList(folder / WITHDRAWALS)
        ),
        key=load_key(folder / HOSPITAL_KEY),
        patients_key=load_patients_key(folder / PATIENTS_KEY),
        simulation=_simulation(section),
        own_models=tuple(words.get("model", {})),
    )
    section.finish()
    return home


def load_patients_key(path: Path) -> bytes:
    """Read the secret behind patients' tokens: 32 bytes in hexadecimal; refuses a file that others may read."""
    try:
        # Whoever reads this key can find a patient by trying identifiers: tokens hide nobody from them.
        content = read_private(path, "key", 1000).decode("ascii", "replace").strip()
    except OSError as error:
        raise ConfigurationError(f"key={path}: cannot be read ({error.strerror})") from error
    if not is_digest(content):
        raise ConfigurationError(
            f"key={path}: must be 64 hexadecimal digits; restore it from the newest copy"
        )
    return bytes.fromhex(content)


def program_version() -> str:
    """Name the installed program, as it stands in every charge."""
    return f"wardround {installed_version()}"


def _patient(section: Section) -> PatientColumn:
    """Read who is one patient; a home of 0.1.0 does not say it, and goes on as it did."""
    if not section.has("patient"):
        # Another form would change who is one patient, and join the accounts of a ledger that has charges.
        return PatientColumn(form=AS_WRITTEN)
    return patient_from_section(section.section("patient"))


def _simulation(section: Section) -> Simulation | None:
    if not section.has("simulation"):
        return None
    part = section.section("simulation")
    as_of = part.value("as_of", None)
    try:
        time = None if as_of is None else utc_datetime(as_of)
    except ValueError as error:
        raise part.fail("as_of", "must be a date and time, as in 2026-01-01T00:00:00+00:00") from error
    seed = part.integer("seed", 0, LARGEST_SEED)
    part.finish()
    return Simulation(seed=seed, as_of=time)


def utc_datetime(value: object) -> datetime:
    """Read a date and time, ISO 8601; without a zone it is UTC. ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("not a date and time")
    time = datetime.fromisoformat(value)
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("beyond the calendar in UTC") from error


def _read_yaml(path: Path) -> object:
    try:
        content = read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(f"home={path}: cannot be read ({error.strerror}); run init first") from error
    return read_yaml(content, f"home={path}")
