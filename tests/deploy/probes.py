"""What an attacker runs inside a unit or a container: programs' beginnings, run there and not here."""

REACHED = """
import os, socket
def reached(name, act):
    try:
        act()
    except OSError:
        print("closed", name)
    else:
        print("open", name)
def line(host, port):
    socket.create_connection((host, port), timeout=3).close()
def unix(path):
    socket.socket(socket.AF_UNIX).connect(path)
"""
"""Says of each act whether it is open, and how a port and a Unix socket are tried."""

FILLED = """\
def filled(folder):
    written = 0
    try:
        for number in range(64):
            with open(f"{folder}/fill{number}", "wb", buffering=0) as file:
                for _ in range(16):
                    written += file.write(bytes(2**20))
    except OSError:
        pass
    return written // 2**20
"""
"""Gives how many MiB of at most 1,024 go into a folder."""

CONTAINER_PROBE = (
    REACHED
    + """\
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("key", lambda: open("/var/lib/wardround/keys/hospital.key"))
reached("ledger", lambda: open("/var/lib/wardround/ledger.sqlite"))
reached("elsewhere", lambda: open("/var/lib/note", "w"))
reached("program", lambda: open("/opt/wardround/bin/python", "r+b"))
reached("socket's folder", lambda: open("/var/lib/wardround/run/note", "w"))
reached("own key's folder", lambda: open("/var/lib/wardround-node/supernode/note", "w"))
reached("service", lambda: line("127.0.0.1", PORT))
reached("root", lambda: os.setuid(0))
reached("another's group", lambda: os.setgroups([10003]))
reached("agent", lambda: unix("/var/lib/wardround/run/agent.sock"))
reached("server", lambda: line("HOST", 8443))
print("sees", sorted(os.listdir("/var/lib/wardround")))
commands = [open(f"/proc/{one}/cmdline").read() for one in os.listdir("/proc") if one.isdigit()]
print("agents", len([one for one in commands if "\\0agent\\0" in one or one.endswith("\\0agent")]))
"""
    + FILLED
    + """\
own = "/var/lib/wardround-node/supernode/"
for folder in ("/", "/run", "/var/tmp", "/opt", "/tmp", "/dev/shm", own, own + "empty", own + "flwr"):
    print("filled", folder, filled(folder))
children = []
try:
    for _ in range(300):
        child = os.fork()
        if not child:
            import signal; signal.pause()
        children.append(child)
except OSError:
    pass
print("processes", len(children), flush=True)
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
)
"""What code that the server ships reaches and takes from within the SuperNode's container."""

PAGES_PROBE = (
    REACHED
    + """\
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("key", lambda: open("/var/lib/wardround/keys/hospital.key"))
reached("accounts", lambda: open("/var/lib/wardround/accounts.json"))
reached("agent", lambda: unix("/var/lib/wardround/run/agent.sock"))
reached("desk", lambda: unix("/var/lib/wardround/desk/desk.sock"))
reached("desk's folder", lambda: open("/var/lib/wardround/desk/note", "w"))
reached("own settings", lambda: open(os.environ["WARDROUND_HOME"] + "/note", "w"))
reached("spool", lambda: open("/var/lib/wardround-preferences/spool/note.part", "w"))
reached("elsewhere", lambda: open("/var/lib/note", "w"))
reached("program", lambda: open("/opt/wardround/bin/python", "r+b"))
reached("service", lambda: line("127.0.0.1", PORT))
reached("root", lambda: os.setuid(0))
reached("another's group", lambda: os.setgroups([10001]))
"""
    + FILLED
    + """\
for folder in ("/", "/run", "/var/tmp", "/opt", "/tmp", "/dev/shm"):
    print("filled", folder, filled(folder))
"""
)
"""The same from within the containers of both pages."""
