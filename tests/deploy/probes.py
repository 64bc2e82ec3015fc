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
