"""The three units as shipped, on a machine of their own: both guides, a study, kills, and what a SuperNode reaches."""

import re
from collections.abc import Iterator

import pytest

from tests.deploy.machine import CHECKOUT, SERVER, Machine, block, booted, lacks
from tests.deploy.probes import FILLED, REACHED
from wardround.conf.compose import read_contract

pytestmark = [
    pytest.mark.soak,
    pytest.mark.flower,
    pytest.mark.skipif(bool(lacks()), reason=lacks()),
]
UNITS = ("wardround-server", "wardround-agent", "wardround-supernode")
STUDY = "--study spring training.rounds=12 evaluation=none 'training.public_patients={north: 1200}'"
OPERATOR, HOSPITAL = "/var/lib/wardround-operator", "/var/lib/wardround"
AS_OPERATOR, AS_HOSPITAL = "runuser -u wardround-operator --", "runuser -u wardround-agent --"

PROBE = (
    REACHED
    + """\
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("hospital.key", lambda: open("/var/lib/wardround/keys/hospital.key"))
reached("operator.key", lambda: open("/var/lib/wardround-operator/operator.key"))
reached("home", lambda: os.listdir("/root"))
reached("elsewhere", lambda: open("/var/lib/note", "w"))
reached("bus", lambda: unix("/run/dbus/system_bus_socket"))
reached("agent", lambda: unix("/var/lib/wardround/run/agent.sock"))
reached("server", lambda: line("SERVER", 8443))
reached("service", lambda: line("127.0.0.1", 9999))
for folder in ("/var/lib/wardround", "/var/lib", "/run"):
    print("sees", folder, sorted(os.listdir(folder)), flush=True)
""".replace("SERVER", SERVER)
)

# What the same user does to a machine: fill each folder, make files, processes and memory, shout, and call the kernel.
GREEDY = (
    """
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
"""
    + FILLED
    + """\
own = "/var/lib/wardround-node/supernode"
folders = "/tmp /var/tmp /dev/shm /dev / /run /opt /var/lib/wardround/run".split()
for folder in (*folders, own, own + "/flwr", own + "/empty"):
    print("filled", folder, filled(folder))
for name, call in (
    ("setpriority", lambda: libc.setpriority(0, 0, -20)),
    ("mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    ("unshare", lambda: libc.unshare(0x10000000)),
    ("ptrace", lambda: libc.ptrace(0, 0, 0, 0)),
    ("setuid", lambda: libc.setuid(0)),
    ("perf", lambda: libc.syscall(298, 0, 0, 0, 0, 0)),
):
    print("called" if call() >= 0 else "refused", name)
print("core", *resource.getrlimit(resource.RLIMIT_CORE))
print("files", *resource.getrlimit(resource.RLIMIT_NOFILE))
children = []
try:
    for _ in range(300):
        child = os.fork()
        if not child:
            ctypes.CDLL(None).pause()
        children.append(child)
except OSError:
    pass
print("processes", len(children))
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
child = os.fork()
if not child:
    held = [bytes([1]) * 2**26 for _ in range(48)]
    os._exit(0)
print("memory", "taken" if os.waitpid(child, 0)[1] == 0 else "refused", flush=True)
for _ in range(100_000):
    print("x" * 1000)
"""
)


NOW_AND_HERE = """
mkdir -p /run/systemd/system/UNIT.d
printf '[Timer]\\nOnActiveSec=2s\\nAccuracySec=1s\\n' > /run/systemd/system/UNIT.d/now.conf
systemctl daemon-reload; systemctl restart UNIT
"""
"""Has a timer come two seconds from now, and as it does every day."""


def awaited(machine: Machine, command: str) -> str:
    """Try a command for a minute until it does not fail."""
    return machine.shell(f"for _ in $(seq 60); do {command} && exit 0; sleep 1; done; exit 1")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Both guides, followed to where a study could begin."""
    with booted(tmp_path_factory.mktemp("machine")) as made:
        guide = (CHECKOUT / "docs/operator.md").read_text(encoding="utf-8")
        lines = block(guide, "wardround-serve service install").replace("study.example", SERVER)
        made.shell(lines.replace("service install", "service install --yes"))
        made.shell(f"install -m 644 {OPERATOR}/kits/north.kit /tmp/north.kit")
        guide = (CHECKOUT / "docs/hospital-join.md").read_text(encoding="utf-8")
        told = made.shell("sha256sum /tmp/north.kit").split()[0][:32]
        join, _, enable = block(guide, "wardround-hospital service install").partition("systemctl enable")
        join = join.replace("service install", "service install --yes")
        made.shell(join.replace("north.kit", f"north.kit --fingerprint {told}"), folder="/opt/wardround/code")
        made.shell(f"{AS_HOSPITAL} python -P -m wardround.simulations.population.invented {HOSPITAL}/tables")
        contract = read_contract(CHECKOUT / "conf/contract/synthetic.yaml", "contract").fingerprint
        made.shell(f"sed -i 's/^contracts: .*/contracts: [{contract}]/' {HOSPITAL}/policy.yaml")
        made.shell(f"systemctl enable{enable}")
        made.shell(f"install -m 644 {HOSPITAL}/north.request /tmp/north.request")
        told = made.shell("sha256sum /tmp/north.request").split()[0][:32]
        enrol = f"enrol --request /tmp/north.request --fingerprint {told} --home {OPERATOR}"
        made.shell(f"{AS_OPERATOR} wardround-serve {enrol}")
        terms = f"{AS_OPERATOR} wardround-serve terms --key {OPERATOR}/operator.key --out /tmp/spring.terms {STUDY}"
        made.shell(terms)
        approve = f"approve /tmp/spring.terms --home {HOSPITAL} --reason reviewed --yes --last-entry 1"
        made.shell(f"{AS_HOSPITAL} wardround-hospital {approve}")
        yield made


def test_a_study_runs_between_the_units_and_outlives_a_kill_of_each(machine: Machine) -> None:
    kills = "; ".join(f"sleep 9; systemctl kill -s KILL {unit}" for unit in UNITS)
    train = f"{AS_OPERATOR} wardround-serve train {STUDY} --home {OPERATOR} --round-seconds 60"
    said = machine.shell(f"({kills}) & {train}; wait", seconds=600)
    assert re.search(r"round 12 of 12: 1 of 1 hospitals", said)
    restarts = machine.shell(f"systemctl show -p NRestarts --value {' '.join(UNITS)}").split()
    assert min(map(int, restarts)) >= 1
    verified = machine.shell(f"{AS_HOSPITAL} wardround-hospital ledger verify --home {HOSPITAL}")
    assert "each signed and in its place" in verified


def test_a_nights_scores_are_written_by_their_unit(machine: Machine) -> None:
    machine.shell(f"cp -r {OPERATOR}/studies/spring {HOSPITAL}/models; install -d -m 700 {HOSPITAL}/scores")
    machine.shell(f"chown -R wardround-agent: {HOSPITAL}/models {HOSPITAL}/scores")
    words = "models/model.safetensors scores --accept-not-releasable reviewed --person Ida"
    machine.shell(f"wardround-hospital service install --yes --server {SERVER} --score '{words}'")
    machine.shell("systemctl start wardround-score.service; systemctl enable --now wardround-score.timer")
    assert machine.shell(f"cat {HOSPITAL}/scores/*.csv").startswith("row,")
    assert "wardround-score.timer" in machine.shell("systemctl list-timers --no-pager")


def test_a_nights_proposals_are_written_by_their_timer_and_a_run_that_fails_is_told(machine: Machine) -> None:
    install = f"wardround-hospital service install --yes --server {SERVER} --propose"
    for begin in ("outreach begin", "content begin"):
        machine.shell(f"{AS_HOSPITAL} wardround-hospital {begin} --home {HOSPITAL}")
    machine.shell(f"{install} '' && systemctl enable --now wardround-propose.timer")
    machine.shell(NOW_AND_HERE.replace("UNIT", "wardround-propose.timer"))
    awaited(
        machine, "systemctl show -p ExecMainExitTimestampMonotonic --value wardround-propose | grep -v ^0"
    )
    machine.shell("! systemctl --quiet is-failed wardround-propose", seconds=60)
    listed = f"{AS_HOSPITAL} wardround-hospital alerts list --home {HOSPITAL}"
    assert "timer: propose" not in machine.shell(listed)
    machine.shell(f"{install} 'models/none.safetensors'; systemctl start wardround-propose || true")
    assert "timer: propose: the run of" in machine.shell(listed)
    machine.shell(f"{install} '' && systemctl start wardround-propose")
    assert "timer: propose" not in machine.shell(listed)


def test_a_nights_backups_are_written_by_their_timers_and_one_without_its_folder_is_told(
    machine: Machine,
) -> None:
    kept = "/srv/kept"
    machine.shell(f"install -d -m 755 {kept}; install -d -m 700 -o wardround-agent {kept}/hospital")
    machine.shell(f"install -d -m 700 -o wardround-operator {kept}/operator")
    hospital = f"wardround-hospital service install --yes --server {SERVER} --backup"
    machine.shell(f"{hospital} {kept}/hospital/ledger.backup")
    machine.shell(f"wardround-serve service install --yes --backup {kept}/operator/op.backup")
    for unit, file in (("backup", "hospital/ledger"), ("server-backup", "operator/op")):
        machine.shell(f"systemctl enable --now wardround-{unit}.timer")
        machine.shell(NOW_AND_HERE.replace("UNIT", f"wardround-{unit}.timer"))
        awaited(machine, f"test -s {kept}/{file}.backup")
        awaited(machine, f"! systemctl is-active --quiet wardround-{unit}")
        machine.shell(f"! systemctl --quiet is-failed wardround-{unit}")
    listed = f"{AS_HOSPITAL} wardround-hospital alerts list --home {HOSPITAL}"
    assert "timer: backup" not in machine.shell(listed)
    machine.shell(f"{hospital} /srv/none/ledger.backup; systemctl start wardround-backup || true")
    assert "timer: backup: the run of" in machine.shell(listed)


def as_the_supernode(machine: Machine, name: str, program: str) -> list[str]:
    """Run a program with the SuperNode's own unit around it; what it wrote."""
    return within(machine, "supernode", name, program, "--namespace=wardround-node")


def within(machine: Machine, role: str, name: str, program: str, journal: str = "") -> list[str]:
    """Run a program with a unit of ours around it; what it wrote into that unit's journal."""
    unit = (CHECKOUT / f"deploy/wardround-{role}.service").read_text(encoding="utf-8")
    unit = re.sub(r"(?m)^ExecStart=.*", f"ExecStart=/opt/wardround/bin/python /opt/{name}.py", unit)
    unit = re.sub(r"(?m)^Restart=.*", "Restart=no\nType=oneshot\nOOMPolicy=continue", unit)
    (machine.root / f"opt/{name}.py").write_text(program, encoding="utf-8")
    (machine.root / f"etc/systemd/system/{name}.service").write_text(unit, encoding="utf-8")
    machine.shell(f"systemctl daemon-reload; systemctl start {name}")
    return machine.shell(f"journalctl {journal} -u {name} -o cat --no-pager").splitlines()


PAGE = "/var/lib/wardround-preferences"
AS_PAGE = "runuser -u wardround-preferences --"
SETTINGS = f"""url: https://choose.north.example
telephone: 555 0100
channels: [sms, email]
spool: {PAGE}/spool
"""
LINK = f"""
from datetime import date, timedelta
from pathlib import Path
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from wardround.client.outreach.by_page.keys import load_page_keys
from wardround.client.preferences.link_token import BY_LINK, head_of, spell_token
(key,) = load_page_keys(Path("{HOSPITAL}")).values()
head = head_of(key.number, date.today() + timedelta(days=60))
print(BY_LINK + spell_token(head, AESSIV(key.seal).encrypt(bytes(24), [head]), key.mark))
"""
"""A link that the hospital sealed, of a patient whom no table names: what it chooses waits in the spool."""
PAGE_PROBE = (
    REACHED
    + """\
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("home", lambda: os.listdir("/var/lib/wardround"))
reached("agent", lambda: unix("/var/lib/wardround/run/agent.sock"))
reached("bus", lambda: unix("/run/dbus/system_bus_socket"))
reached("beside", lambda: open("/var/lib/wardround-preferences/note", "w"))
reached("elsewhere", lambda: open("/var/lib/note", "w"))
reached("server", lambda: line("SERVER", 8443))
reached("published", lambda: open("/var/lib/wardround-preferences/preferences.json"))
reached("spool", lambda: open("/var/lib/wardround-preferences/spool/strange.choice", "w"))
print("sees /var/lib", sorted(os.listdir("/var/lib")), flush=True)
""".replace("SERVER", SERVER)
)


def test_the_patients_page_as_a_unit_spools_for_the_agents_user_alone(machine: Machine) -> None:
    """From the guide's lines to a choice that the agent's user reads; what the unit's user reaches; and a kill."""
    outreach = f"{AS_HOSPITAL} wardround-hospital outreach"
    guide = (CHECKOUT / "docs/preferences.md").read_text(encoding="utf-8")
    for word in ("outreach", "content"):
        begun = f"test -e {HOSPITAL}/{word}.yaml -o -e {HOSPITAL}/{word}"
        machine.shell(f"{begun} || {AS_HOSPITAL} wardround-hospital {word} begin --home {HOSPITAL}")
    begin, publish = block(guide, "preferences begin").replace("north", HOSPITAL).strip().splitlines()
    machine.shell(f"cd /tmp; {AS_HOSPITAL} {begin.partition('#')[0]}")
    (machine.root / f"{HOSPITAL[1:]}/preferences.yaml").write_text(SETTINGS, encoding="utf-8")
    machine.shell(f"cd {HOSPITAL}; {AS_HOSPITAL} {publish}")
    install = block(guide, "--with preferences").replace(
        "service install", "service install --yes --propose ''"
    )
    machine.shell(install, folder=HOSPITAL)

    link = machine.run(*AS_HOSPITAL.split(), "python", "-P", "-c", LINK).strip()
    chosen = f"curl -sS -f -H 'Host: choose.north.example' http://127.0.0.1:8767{link}"
    assert "Stop all messages" in awaited(machine, chosen)
    assert machine.shell(f"ls {PAGE}/spool") == ""
    machine.shell("systemctl kill -s KILL wardround-preferences")
    awaited(machine, f"{chosen} -d List-Unsubscribe=One-Click")
    assert "640 wardround-preferences wardround-agent" in machine.shell(f"stat -c '%a %U %G' {PAGE}/spool/*")
    assert "no address names their patient today: 1" in machine.shell(
        f"{outreach} inbound --page --home {HOSPITAL}"
    )

    said = within(machine, "preferences", "page", PAGE_PROBE)
    assert [line.removeprefix("open ") for line in said if line.startswith("open ")] == ["published", "spool"]
    assert len([line for line in said if line.startswith("closed ")]) == 7
    assert "sees /var/lib ['wardround-preferences']" in said
    # Its unit too empties the spool: what it cannot open it puts aside.
    machine.shell("systemctl start wardround-propose")
    assert "strange.choice.unopened" in machine.shell(f"ls {PAGE}/spool")
    pid = machine.shell("systemctl show -p MainPID --value wardround-agent").strip()
    listed = f"{AS_HOSPITAL} wardround-hospital alerts list --home {HOSPITAL}"
    told = machine.shell(f"nsenter -t {pid} -m {listed}")
    assert "could not be opened" in told
    # Where a unit sees the spool without being able to write, that is no fault of the spool's.
    assert "cannot be emptied" not in told


def test_what_the_supernodes_user_reaches(machine: Machine) -> None:
    """Code that the server ships, with the SuperNode's own unit around it."""
    listener = "import socket, time; s = socket.create_server(('127.0.0.1', 9999)); time.sleep(60)"
    machine.shell(
        f'/opt/wardround/bin/python -c "{listener}" > /dev/null 2>&1 & echo $! > /tmp/listener; sleep 1'
    )
    said = as_the_supernode(machine, "reach", PROBE)
    machine.shell("kill $(cat /tmp/listener)")
    assert {line.removeprefix("open ") for line in said if line.startswith("open ")} == {"agent", "server"}
    assert len([line for line in said if line.startswith("closed ")]) == 7
    assert "sees /var/lib/wardround ['run']" in said
    assert "sees /var/lib ['wardround', 'wardround-node']" in said
    (seen,) = [line for line in said if line.startswith("sees /run ")]
    assert not re.search(r"sock|dbus|postgresql|notify", seen)


def test_what_the_supernodes_user_takes_from_the_machine(machine: Machine) -> None:
    before = machine.shell("journalctl -u wardround-agent -o cat --no-pager")
    said = as_the_supernode(machine, "greedy", GREEDY)
    lines = [line.split() for line in said]
    filled = {words[1]: int(words[2]) for words in lines if words[0] == "filled"}
    most = {"/tmp": 64, "/var/tmp": 16, "/dev/shm": 16, "/var/lib/wardround-node/supernode/flwr": 64}
    assert len(filled) == 11
    assert {folder for folder, size in filled.items() if size} == set(most)
    assert all(size <= most[folder] for folder, size in filled.items() if size)
    assert [words for words in lines if words[0] == "called"] == []
    assert ["core", "0", "0"] in lines
    assert ["files", "1024", "1024"] in lines
    (count,) = [int(words[1]) for words in lines if words[0] == "processes"]
    assert 10 < count < 64
    # Bounds by control group are systemd's; a test machine in a machine of the old kind has none of memory.
    has_memory = "memory" in machine.shell("cat /sys/fs/cgroup/cgroup.controllers").split()
    assert ["memory", "refused" if has_memory else "taken"] in lines
    # 100,000 lines of shouting: few are kept (systemd takes up to six times the burst where the disk has room), and the
    # agent's journal is what it was.
    assert len([line for line in said if line.startswith("xxx")]) <= 6 * 500
    assert machine.shell("journalctl -u wardround-agent -o cat --no-pager").startswith(before)


def test_the_servers_unit_cannot_read_what_signs(machine: Machine) -> None:
    pid = machine.shell("systemctl show -p MainPID --value wardround-server").strip()
    for key in ("operator.key", "tls/root.key"):
        read = f"{AS_OPERATOR} cat {OPERATOR}/{key}"
        assert "Permission denied" in machine.shell(f"nsenter -t {pid} -m {read} 2>&1 || true")
        assert machine.shell(read)  # which the same user may, outside of the unit
