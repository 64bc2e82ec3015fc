"""A user's own data source: its tables make the federation that the same tables make otherwise."""

import sys

import polars as pl
import pytest

import wardround
from tests.builders import PLACES
from wardround import WardroundError
from wardround.protocol import plugins

DRAWN = {"hospitals": 2, "patients": 400, "messages": 1500, "smallest": 200, "largest": 200}


@pytest.fixture(autouse=True)
def _own(monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})


@pytest.fixture(scope="module")
def messages():
    return wardround.draw_tables(**DRAWN).messages.rename({"hospital": "place"})


def simulate(source, **more):
    return wardround.simulate(data=source, contract=wardround.read_contract(PLACES), rounds=2, **more)


def test_the_study_is_the_one_of_the_same_table_in_a_file(messages, tmp_path):
    messages.write_parquet(tmp_path / "table.parquet")
    given = {"data": "table", "data.path": tmp_path / "table.parquet"}
    # The study's name is part of what its noise is drawn from.
    from_file = wardround.simulate(given, study="one", contract=wardround.read_contract(PLACES), rounds=2)
    asked = []
    mine = simulate(
        lambda contract, seed: asked.append((contract.name, seed)) or {"messages": messages}, study="one"
    )
    assert asked == [("small", 0)]
    assert mine.table().equals(from_file.table())
    assert mine.predictions().equals(from_file.predictions())
    assert mine.summary["warnings"] == from_file.summary["warnings"] != []  # it counts as a real table
    assert mine.settings["data"]["name"] == "own"


def test_patients_and_consents_of_a_source_are_read():
    """As in the synthetic federation, whose tables these are: the same patients may be learned from."""
    sizes = {"hospitals": 3, "patients": 600, "messages": 2000, "smallest": 50, "largest": 400}
    tables = wardround.draw_tables(seed=0, **sizes)
    parts = {"messages": tables.messages, "patients": tables.patients, "consents": tables.consents}
    plain = wardround.simulate("experiment=tiny", rounds=2)
    mine = wardround.simulate(data=lambda contract, seed: parts, contract=plain.model.contract, rounds=2)
    assert mine.summary["training_patients"] == plain.summary["training_patients"]
    assert mine.summary["hospitals"] == 3


def test_a_source_is_named_by_its_import_path(messages, tmp_path, monkeypatch):
    messages.write_parquet(tmp_path / "table.parquet")
    path = str(tmp_path / "table.parquet")
    text = f"import polars as pl\n\ndef read(contract, seed):\n    return {{'messages': pl.read_parquet({path!r})}}\n"
    (tmp_path / "tables_of_test.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {"contract": wardround.read_contract(PLACES)}
    found = wardround.simulate("data=own", "data.source=tables_of_test:read", given, rounds=2)
    assert found.summary["hospitals"] == 2
    with pytest.raises(WardroundError, match=r"its module has no raed; did you mean read\?"):
        wardround.simulate("data=own", "data.source=tables_of_test:raed", given)
    sys.modules.pop("tables_of_test", None)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (None, "gave NoneType, must be a mapping with the table messages"),
        ({"patients": pl.DataFrame()}, "must be a mapping with the table messages"),
        ({"messages": [1]}, "gave list as messages, must be a polars DataFrame"),
        (
            {"messages": pl.DataFrame({"place": ["a"]}), "letters": 1},
            "gave a table letters, must be of messages",
        ),
        ({"messages": pl.DataFrame({"plaec": ["a"]})}, "messages: column place is missing"),
        ({"messages": pl.DataFrame({"place": ["a"]})}, "messages: column patient is missing"),
    ],
)
def test_what_is_wrong_with_a_source_is_one_line(given, line):
    with pytest.raises(WardroundError, match=line) as caught:
        simulate(lambda contract, seed: given)
    assert "\n" not in str(caught.value)


def test_what_a_source_raises_is_one_line_without_its_values():
    def read(contract, seed):
        raise ValueError("patient 17")

    with pytest.raises(
        WardroundError, match=r"data\.source=.*: failed with ValueError at test_own_data\.py"
    ) as caught:
        simulate(read)
    assert "17" not in str(caught.value).split(" line ")[0].split("read", 1)[1]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (("data=own",), r"data\.contract=null|data\.source=null: must be a function's import path"),
        (("data=own", "data.source=read"), "data.source=read: must be a function's import path"),
        (("data=own", "data.source=no_such_module_here:read"), "no module named no_such_module_here"),
        (("+data.source=a:b",), "data.source"),
    ],
)
def test_a_wrong_setting_is_one_line(overrides, line):
    with pytest.raises(WardroundError, match=line) as caught:
        wardround.simulate(*overrides)
    assert "\n" not in str(caught.value)
