"""``content draft``: variants of a module by the hospital's own program, into a folder that nothing is sent from."""

from argparse import Namespace

from wardround.client.commands.open_home import open_home
from wardround.client.commands.signing import person
from wardround.client.commands.terminal import say
from wardround.client.outreach.content.check import check
from wardround.client.outreach.content.draft import draft_files, draft_request, read_variants
from wardround.client.outreach.content.folder import keep_drafts, read_folder
from wardround.client.outreach.content.generator import LARGEST_OUTPUT, find_program, run_generator
from wardround.client.outreach.content.module import read_module
from wardround.client.policy.people_file import people_of
from wardround.protocol.text.say import say_json


def draft(options: Namespace) -> None:
    """Ask the program, check what it wrote, and put it aside for people."""
    program = find_program(options.program)
    with open_home(options.home) as opened:
        content = read_folder(opened.home.content_folder)
        author = people_of(opened.home.folder).known(person(options.person))
    module = content.find(options.name)
    request = draft_request(module, content.guidelines, options.count)
    output = run_generator(program, request, options.seconds)
    variants = read_variants(output, module, options.count, LARGEST_OUTPUT)
    files = draft_files(variants, module, content, author.name, program.name)
    drafted = [read_module(text, file) for file, text in files.items()]
    faults = [fault for one in check(drafted, content.guidelines, None) for fault in one.faults]
    paths = keep_drafts(content.folder, files)
    if options.json:
        say_json({"module": module.name, "drafts": [str(path) for path in paths], "faults": faults})
        return
    say(*(f"Drafted: {path}" for path in paths), *(f"FAULT: {fault}" for fault in faults))
    say(
        "Nothing of this is sent. Read and edit a draft, move its file up into the content folder, and have somebody "
        "else approve it."
    )
