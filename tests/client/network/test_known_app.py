"""A SuperNode runs the shim, and no other app: whatever is shipped in its place, or beside it."""

import hashlib
import io
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from flwr.cli.build import build_fab_from_disk
from flwr.supernode.runtime import run_clientapp

from tests.builders import ROOT
from wardround.client.network import known_app
from wardround.client.network.known_app import (
    SHIM_DIGEST,
    SHIM_NAME,
    SHIM_VERSION,
    check_app,
    digest,
    run_the_shim_alone,
)
from wardround.protocol.errors import ConfigurationError

SHIM = ROOT / "server/network/shim"


@pytest.fixture(scope="module")
def bundle():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower's, of pathspec
        return build_fab_from_disk(SHIM)


def packed(parts, kind=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as out:
        for name, content in parts:
            out.writestr(name, content)
    return file.getvalue()


def parts_of(bundle):
    with zipfile.ZipFile(io.BytesIO(bundle)) as file:
        return [(name, file.read(name)) for name in file.namelist()]


def check(bundle, name=SHIM_NAME, version=SHIM_VERSION, stated=None):
    check_app(bundle, name, version, stated or hashlib.sha256(bundle).hexdigest())


def test_the_shim_is_the_one_that_is_known(bundle):
    assert digest(bundle) == SHIM_DIGEST
    check(bundle)
    check(packed(parts_of(bundle)))  # packed by another release


def test_one_byte_more_one_file_more_or_another_start_is_another_app(bundle):
    parts = dict(parts_of(bundle))
    others = [
        {**parts, "shim.py": parts["shim.py"] + b"\n"},
        {**parts, "flwr.py": b"import os"},
        {**parts, "shim/__init__.py": b"import os"},
        {**parts, "shim.pyc": b"\0"},
        {**parts, "pyproject.toml": parts["pyproject.toml"].replace(b'"shim:app"', b'"os:system"', 1)},
        {
            **parts,
            "pyproject.toml": parts["pyproject.toml"].replace(b"dependencies = []", b'dependencies = ["x"]'),
        },
        {name: content for name, content in parts.items() if name != "shim.py"},
    ]
    for other in others:
        assert other != parts
        with pytest.raises(ConfigurationError, match="not the shim that is installed here"):
            check(packed(other.items()))


def test_what_is_no_bundle_is_refused_in_one_line(bundle):
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = packed([*parts_of(bundle), ("shim.py", b"import os")])
    bomb = packed([("shim.py", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    broken = bundle[:200] + bytes(20) + bundle[220:]
    for other in (b"", b"PK", bundle[:-30], broken, twice, bomb, packed([("pyproject.toml", b"\xff")])):
        with pytest.raises(ConfigurationError) as refused:
            check(other)
        assert "\n" not in str(refused.value)


def test_the_place_from_which_it_is_loaded_is_the_shims_own(bundle):
    for wrong in (
        {"name": "wardround/../../x"},
        {"name": "wardround/wardround-shim\x1b[2J"},
        {"version": "0.1.0/../../other"},
        {"stated": "0" * 64},
    ):
        with pytest.raises(ConfigurationError) as refused:
            check(bundle, **wrong)
        assert str(refused.value).isprintable()


def test_flower_unpacks_nothing_that_was_not_checked(bundle, monkeypatch):
    """By the names that Flower's own function uses; it ends with the reply's error and no folder."""
    unpacked = []
    monkeypatch.setattr(
        run_clientapp, "install_from_fab", lambda content, skip_prompt: unpacked.append(content)
    )
    hostile = packed([*parts_of(bundle), ("more.py", b"")])
    shipped = {}
    monkeypatch.setattr(
        run_clientapp,
        "pull_task_input",
        lambda _: (
            "message", "context",
            SimpleNamespace(fab_id=SHIM_NAME, fab_version=SHIM_VERSION),
            SimpleNamespace(hash_str=hashlib.sha256(shipped["app"]).hexdigest(), content=shipped["app"]),
        ),
    )  # fmt: skip
    run_the_shim_alone(run_clientapp)
    source = Path(run_clientapp.__file__).read_text()
    assert source.index("pull_task_input(client)") < source.index(
        "install_from_fab(fab.content, skip_prompt=True)"
    )
    assert source.index("install_from_fab(fab.content") < source.index("= load_client_app_fn(")
    for app, runs in ((hostile, False), (bundle, True), (hostile, False)):
        shipped["app"] = app
        fab = run_clientapp.pull_task_input(None)[3]
        if runs:
            run_clientapp.install_from_fab(fab.content, skip_prompt=True)
        else:
            with pytest.raises(run_clientapp.LoadClientAppError, match="not the shim"):
                run_clientapp.install_from_fab(fab.content, skip_prompt=True)
    assert unpacked == [bundle]
    assert known_app.MOST_BYTES < 10**6
