"""The example folder of modules has no fault, and its generator drafts variants that have none either."""

import shutil
import sys
from pathlib import Path

from tests.builders import ROOT
from wardround.client.outreach.content.check import check
from wardround.client.outreach.content.draft import draft_files, draft_request, read_variants
from wardround.client.outreach.content.folder import keep_drafts, read_folder
from wardround.client.outreach.content.generator import LARGEST_OUTPUT, run_generator
from wardround.client.outreach.content.module import read_module
from wardround.conf.compose import read_contract

EXAMPLE = ROOT / "examples/content"


def test_the_example_folder_has_no_fault_under_the_shipped_contract() -> None:
    content = read_folder(EXAMPLE)
    contract = read_contract(ROOT / "conf/contract/synthetic.yaml", "contract")
    checked = check(content.modules, content.guidelines, contract)
    assert [fault for one in checked for fault in (*one.faults, *one.unchecked)] == []
    assert content.faults == ()
    assert len(checked) == 4


def test_the_example_generator_drafts_variants_without_a_fault(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    shutil.copytree(EXAMPLE, folder)
    content = read_folder(folder)
    module = content.find("visit-reminder.en")
    generator = folder / "generator.py"
    assert generator.stat().st_mode & 0o111
    # This interpreter: not every machine has a python3 in the few folders that a generator may search.
    generator.write_text(generator.read_text().replace("/usr/bin/env python3", sys.executable))
    output = run_generator(generator, draft_request(module, content.guidelines, 3), 60)
    variants = read_variants(output, module, 3, LARGEST_OUTPUT)
    files = draft_files(variants, module, content, "Ada Byron", "generator.py")
    keep_drafts(folder, files)
    drafted = [read_module(text, name) for name, text in files.items()]
    assert [fault for one in check(drafted, content.guidelines, None) for fault in one.faults] == []
    assert len({one.text for one in (module, *drafted)}) == 4
    assert read_folder(folder).drafts == tuple(sorted(files))
