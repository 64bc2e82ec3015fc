"""Both sides' containers as shipped, by the guide word by word: a study, kills, pages, and what each of them reaches.

Base and images are built by the page's own commands, which takes minutes and the package index.
"""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.deploy.container_host import GUIDE, NEWER, OLDER, Host, lacks, own_address
from tests.deploy.machine import CHECKOUT, block
from tests.deploy.probes import CONTAINER_PROBE, PAGES_PROBE, REACHED
from wardround.conf.compose import read_contract
from wardround.protocol.wire.speaker import this_speaker
from wardround.server.store.event_log import read_events

ROUNDS = 16
STUDY = f"--study spring training.rounds={ROUNDS} evaluation=none 'training.public_patients={{north: 1200}}'"
PARTS = (("hospital", "agent"), ("hospital", "supernode"), ("operator", "server"))
INVENT = "python -P -m wardround.simulations.population.invented tables"
RESTART = Path("/lib/systemd/system/podman-restart.service")
PASSWORD = "a long enough password"

pytestmark = [pytest.mark.soak, pytest.mark.flower, pytest.mark.skipif(bool(lacks()), reason=lacks())]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Both guides, followed to where a study could begin."""
    made = Host(tmp_path_factory.mktemp("host"))
    made.build()
    try:
        begin_operator(made)
        begin_hospital(made)
        yield made
    finally:
        made.end()


def begin_operator(host: Host) -> None:
    host.follow("wardround-serve provision", **{"study.example": own_address()})
    host.shell("cp /srv/wardround-operator/kits/north.kit /tmp/north.kit")


def begin_hospital(host: Host) -> None:
    told = f"join north.kit --fingerprint {host.digits('/tmp/north.kit')}"
    host.follow("hospital.yaml up -d agent supernode", **{"join north.kit": told})
    host.hospital(INVENT)
    contract = read_contract(CHECKOUT / "conf/contract/synthetic.yaml", "contract").fingerprint
    host.shell(f"sed -i 's/^contracts: .*/contracts: [{contract}]/' /srv/wardround/home/policy.yaml")
    file = "/srv/wardround/home/north.request"
    host.shell(f"install -m 600 -o 10004 -g 10004 {file} /srv/wardround-operator/north.request")
    host.operator(f"wardround-serve enrol --request north.request --fingerprint {host.digits(file)} --home .")
    host.operator(f"wardround-serve terms --key operator.key --out spring.terms {STUDY}")
    host.shell(
        "install -m 600 -o 10001 -g 10001 /srv/wardround-operator/spring.terms /srv/wardround/home/spring.terms"
    )
    approve = "approve spring.terms --reason reviewed --person Ida --yes --last-entry 1"
    host.hospital(f"wardround-hospital {approve}")


def kill_and_start(host: Host, side: str, service: str) -> None:
    name = host.name_of(side, service)
    host.shell(f"podman kill -s KILL {name}; podman start {name}")


def await_healthy(host: Host, side: str, service: str) -> None:
    """Run a container's own health check until it passes, for three minutes at most."""
    name = host.name_of(side, service)
    host.shell(f"for _ in $(seq 90); do podman healthcheck run {name} && exit 0; sleep 2; done; exit 1")


def await_round(host: Host, number: int) -> None:
    """Wait until the study has closed this round, for five minutes at most."""
    log = Path(host.here("/srv/wardround-operator/studies/spring/events.jsonl"))
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if log.exists() and len([e for e in read_events(log) if e["event"] == "round"]) >= number:
            return
        time.sleep(1)
    raise AssertionError(f"round {number} did not end within five minutes")


def disturb(host: Host) -> None:
    """Kill each container, then replace each by one of the newer image, while the study runs."""
    for number, part in enumerate(PARTS, start=1):
        await_round(host, number)
        kill_and_start(host, *part)
    await_round(host, len(PARTS) + 1)
    host.take(NEWER)
    for side, service in PARTS:
        words = {
            "podman image prune -f": "true",
            "hospital.yaml": f"{side}.yaml",
            "deps agent": f"deps {service}",
        }
        host.follow("--force-recreate --no-deps agent", **words)


def test_a_study_outlives_a_kill_and_an_upgrade_of_each_container(host: Host) -> None:
    await_healthy(host, "operator", "server")
    with ThreadPoolExecutor(1) as pool:
        disturbed = pool.submit(disturb, host)
        said = host.operator(f"wardround-serve train {STUDY} --home . --round-seconds 60", "train", 900.0)
        disturbed.result(300)
    assert f"round {ROUNDS} of {ROUNDS}: 1 of 1 hospitals" in said
    assert "each signed and in its place" in host.hospital("wardround-hospital ledger verify")
    # Each charge names the program that made it.
    codes = re.findall(r'"code": *"(.+?)"', host.hospital("wardround-hospital ledger show --json --last 200"))
    mine = f"wardround {this_speaker().program}"
    assert (codes, set(codes)) == (sorted(codes), {f"wardround {OLDER}", mine})
    for side, service in PARTS:
        await_healthy(host, side, service)
        version = "from wardround.protocol.installed import installed_version; print(installed_version())"
        (running,) = host.program(host.name_of(side, service), version)
        assert f"wardround {running}" == mine


def test_what_the_supernodes_container_reaches(host: Host) -> None:
    host.shell("ls /srv/wardround/home/{tables/messages.csv,keys/hospital.key,ledger.sqlite}")
    said = probed(host, "hospital", "supernode", CONTAINER_PROBE)
    assert {line.removeprefix("open ") for line in said if line.startswith("open ")} == {"agent", "server"}
    assert len([line for line in said if line.startswith("closed ")]) == 10
    assert "sees ['run']" in said
    assert "agents 0" in said
    filled = {line.split()[1]: int(line.split()[2]) for line in said if line.startswith("filled")}
    most = {"/tmp": 64, "/var/tmp": 16, "/dev/shm": 16, "/var/lib/wardround-node/supernode/flwr": 64}
    assert {folder for folder, size in filled.items() if size} == set(most)
    assert all(size <= most[folder] for folder, size in filled.items() if size)
    (count,) = [int(line.split()[1]) for line in said if line.startswith("processes")]
    assert 10 < count < 64


@contextmanager
def ruled(host: Host) -> Iterator[None]:
    """The page's unit for this machine's firewall, started and stopped."""
    lines = block(GUIDE, "wardround-firewall").replace("198.51.100.7", own_address())
    # Nothing of this machine boots here: what systemd would run is run.
    units = host.folder / "units"
    units.mkdir()
    host.shell(lines.replace("/etc/systemd/system", str(units)).replace("systemctl", "true systemctl"))
    unit = (units / "wardround-firewall.service").read_text(encoding="utf-8")
    try:
        host.shell("\n".join(re.findall(r"(?m)^ExecStart=(.*)", unit)))
        yield
    finally:
        host.shell("\n".join(f"{line} || true" for line in re.findall(r"(?m)^ExecStop=-?(.*)", unit)))


def test_the_machines_rule_lets_the_supernode_reach_the_server_alone(host: Host) -> None:
    probe = REACHED + "".join(
        f'reached("{name}", lambda: line("{address}", {port}))\n'
        for name, address, port in (("server", "HOST", 8443), ("gateway", "10.89.77.1", "PORT"))
    )
    name = host.name_of("hospital", "supernode")
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104  # as many services of a machine listen
        probe = probe.replace("HOST", own_address()).replace("PORT", str(listener.getsockname()[1]))
        assert opened(host.program(name, probe)) == {"server", "gateway"}
        with ruled(host):
            assert opened(host.program(name, probe)) == {"server"}
        assert opened(host.program(name, probe)) == {"server", "gateway"}


def probed(host: Host, side: str, service: str, probe: str) -> list[str]:
    """Run an attacker's program in a container, with a service of this machine's that it may try to reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        return host.program(
            host.name_of(side, service), probe.replace("HOST", own_address()).replace("PORT", port)
        )


def opened(said: list[str]) -> set[str]:
    return {line.removeprefix("open ") for line in said if line.startswith("open ")}


@contextmanager
def page(host: Host, certificate: str, port: int) -> Iterator[httpx.Client]:
    """A browser at pages that were just started, once they answer."""
    context = ssl.create_default_context(cafile=host.here(certificate))
    origin = f"https://localhost:{port}"
    with httpx.Client(
        verify=context, base_url=origin, headers={"origin": origin}, trust_env=False, timeout=120
    ) as browser:
        for _ in range(90):
            with suppress(httpx.TransportError):
                browser.get("/log-in")
                break
            time.sleep(2)
        yield browser


def log_in(browser: httpx.Client) -> httpx.Response:
    """Log in as Mary, and give the first page."""
    wrong = browser.post("/log-in", data={"account": "mary", "password": "another one"})
    assert "Mary" not in wrong.text
    return browser.post("/log-in", data={"account": "mary", "password": PASSWORD}, follow_redirects=True)


def test_the_hospitals_pages_open_by_the_desk_alone_and_outlive_a_kill_of_each(host: Host) -> None:
    host.hospital("wardround-hospital people begin")
    people = "people:\n  mary: {name: Mary Ward, roles: [privacy, it]}\n"
    home = "/srv/wardround/home"
    host.shell(f"printf '{people}' > {home}/people.yaml; printf '{PASSWORD}\n' > {home}/password")
    host.shell(f"chown 10001:10001 {home}/password; chmod 600 {home}/password")
    host.follow(
        "up -d desk console",
        **{"account add mary": "account add mary --password-file password", "curl ": "true "},
    )
    for service in ("desk", "console"):
        await_healthy(host, "hospital", service)
    with page(host, "/srv/wardround/console/pages.pem", 8765) as browser:
        assert "Mary Ward" in log_in(browser).text
    host.shell("curl -sf --cacert /srv/wardround/console/pages.pem https://localhost:8765/log-in")
    for service in ("desk", "console"):
        kill_and_start(host, "hospital", service)
        await_healthy(host, "hospital", service)
    with page(host, "/srv/wardround/console/pages.pem", 8765) as browser:
        assert "spring" in log_in(browser).text + browser.get("/studies").text
    host.shell("ls /srv/wardround/home/accounts.json")
    said = probed(host, "hospital", "console", PAGES_PROBE)
    assert opened(said) == {"desk"}
    assert len([line for line in said if line.startswith("closed ")]) == 12
    check_bounded(said)


def check_bounded(said: list[str]) -> None:
    filled = {line.split()[1]: int(line.split()[2]) for line in said if line.startswith("filled")}
    assert {folder for folder, size in filled.items() if size} == {"/tmp", "/var/tmp", "/dev/shm"}
    assert all(size <= 16 for size in filled.values())


def test_the_patients_page_opens_and_reaches_its_spool_alone(host: Host) -> None:
    for begin in ("outreach begin", "content begin", "preferences begin"):
        host.hospital(f"wardround-hospital {begin}")
    file = "/srv/wardround/home/preferences.yaml"
    host.shell(f"sed -i 's#^url: .*#url: https://localhost:8767#' {file}")
    host.follow("up -d preferences")
    await_healthy(host, "hospital", "preferences")
    with page(host, "/srv/wardround/preferences/page.pem", 8767) as browser:
        assert browser.get("/p/" + "x" * 68).status_code == 404
        assert browser.get("/", headers={"host": "elsewhere.example"}).status_code == 421
    said = probed(host, "hospital", "preferences", PAGES_PROBE)
    assert opened(said) == {"spool"}
    assert len([line for line in said if line.startswith("closed ")]) == 12
    check_bounded(said)
    # What the page wrote, the agent's user sees and may take away.
    spool = "/var/lib/wardround-preferences/spool"
    assert "note.part" in host.hospital(f"ls {spool}")
    host.hospital(f"rm {spool}/note.part")
    assert "note.part" not in host.hospital(f"ls {spool}")


def test_who_holds_tables_reaches_no_network(host: Host) -> None:
    for service in ("agent", "desk"):
        said = probed(
            host,
            "hospital",
            service,
            REACHED
            + """
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("server", lambda: line("HOST", 8443))
reached("service", lambda: line("127.0.0.1", PORT))
reached("node", lambda: os.listdir("/var/lib/wardround-node"))
reached("root", lambda: os.setuid(0))
print("lines", sorted(os.listdir("/sys/class/net")))
""",
        )
        assert opened(said) == {"table"}
        assert "lines ['lo']" in said


def test_a_nights_run_that_failed_is_told_by_the_alerts_container(host: Host) -> None:
    failing = "wardround-hospital score --by-timer 24 models/none.safetensors scores.csv"
    host.shell(f"podman-compose -f hospital.yaml run --rm -T commands {failing} || true")
    assert "timer: score: the run of" in host.hospital("wardround-hospital alerts list")
    host.hospital("wardround-hospital alerts begin")
    host.shell("podman-compose -f hospital.yaml up -d alerts")
    state = "/srv/wardround/home/alerts.state"
    host.shell(f"for _ in $(seq 60); do grep -q '\"timer score\"' {state} && exit 0; sleep 2; done; exit 1")


def cron_lines(holds: str) -> list[str]:
    """What cron would run as root, of the lines that the page gives for it."""
    settings, lines = [], []
    for line in block(GUIDE, holds).splitlines():
        if re.match(r"[A-Z]+=", line):
            settings.append(line)
        else:
            lines.append(line.split(None, 6)[6])
    at = "/root/wardround/deploy/containers/"
    told = [one.replace(at, "") for one in settings if not one.startswith("PATH=")]
    return ["; ".join([*(re.sub(r"=(.*)", r"='\1'", one) for one in told), line]) for line in lines]


def test_what_both_sides_keep_is_backed_up_by_crons_lines_and_what_is_lost_is_put_back(host: Host) -> None:
    host.follow("install -d -m 700 -o 10001 -g 10001 /srv/wardround/backup")
    (nightly,) = [line for line in cron_lines("RUN=") if line.endswith("$RUN backup")]
    host.shell(nightly)
    host.follow("install -d -m 700 -o 10004 -g 10004 /srv/wardround-operator-backup")
    for file, owner in (("wardround/backup/ledger", 10001), ("wardround-operator-backup/op", 10004)):
        assert host.shell(f"stat -c '%u %a' /srv/{file}.backup").split() == [str(owner), "600"]
    assert "timer: backup" not in host.hospital("wardround-hospital alerts list")
    ledger = "/srv/wardround/home/ledger.sqlite"
    host.shell(f"ls {ledger}; rm {ledger}*")
    assert "restored" in host.follow("ledger restore")
    key = "/srv/wardround-operator/operator.key"
    host.shell(f"rm {key}")
    assert "restored, as of" in host.follow("wardround-serve restore")
    host.shell(f"ls {key} /srv/wardround-operator/aside1")
    for part in PARTS:
        await_healthy(host, *part)
    assert "each signed and in its place" in host.hospital("wardround-hospital ledger verify")


def test_what_ran_comes_back_after_a_reboot(host: Host) -> None:
    """By the unit that the page has started at boot, and which podman brings."""
    names = [host.name_of("hospital", "agent"), host.name_of("operator", "server")]
    host.shell(f"podman stop -t 5 {' '.join(names)}")
    unit = RESTART.read_text(encoding="utf-8")
    (start,) = re.findall(r"(?m)^ExecStart=(.*)", unit)
    host.shell(start.replace("$LOGGING ", ""))
    for side, service in (("hospital", "agent"), ("hospital", "supernode"), ("operator", "server")):
        await_healthy(host, side, service)


def test_a_containers_log_is_bounded(host: Host) -> None:
    """SuperNode's user is the one that is not trusted."""
    name = host.name_of("hospital", "supernode")
    host.shell(f"podman exec {name} sh -c 'yes words | head -c 200M > /proc/1/fd/1'")
    log = host.shell(f"podman inspect --format '{{{{.HostConfig.LogConfig.Path}}}}' {name}").strip()
    assert Path(log).stat().st_size < 64 * 2**20


def test_the_operators_pages_see_the_server_also_after_it_was_started_again(host: Host) -> None:
    lines = {"account add mary": "account add mary --password-file password", "curl ": "true "}
    operator = "/srv/wardround-operator"
    host.shell(f"printf '{PASSWORD}\n' > {operator}/password; chown 10004:10004 {operator}/password")
    host.shell(f"chmod 600 {operator}/password")
    host.follow("up -d dashboard", **lines)
    await_healthy(host, "operator", "dashboard")
    kill_and_start(host, "operator", "server")
    await_healthy(host, "operator", "server")
    with page(host, "/srv/wardround-operator/pages.pem", 8766) as browser:
        assert "north" in log_in(browser).text + browser.get("/hospitals").text
    assert "does not run" not in host.operator("wardround-serve alerts list --home .", "train")
    name = host.name_of("operator", "dashboard")
    host.shell(f"podman exec {name} python -P -m wardround.deploy.health 127.0.0.1:8443")
    for key in ("operator.key", "tls/root.key", "tls/server.key", "secrets/executor", "secrets/control"):
        assert host.shell(f"podman exec {name} sh -c 'cat {key} 2>/dev/null || true'") == ""
        assert host.operator(f"cat {key}")


def test_the_servers_container_cannot_read_what_signs(host: Host) -> None:
    name = host.name_of("operator", "server")
    for key in ("operator.key", "tls/root.key"):
        assert host.shell(f"podman exec {name} sh -c 'cat {key} 2>/dev/null || true'") == ""
        assert "PRIVATE" in host.operator(f"cat {key}")  # which the same user may, in another container
