"""What a hospital may say to patients: modules in a folder, what they are checked for, and who approved them.

    guidelines     what the hospital allows: words, lengths, links, people (``content/guidelines.yaml``)
    module         one text file: its attributes and its parts
    folder         all files of the folder, and every fault at once
    placeholders   where a patient's own details go, and what may stand there
    language       how a language is named
    sms, links, wording, reading_level     one kind of check each, pure
    check          all checks of a module, and of modules beside each other
    written        a module with its placeholders filled: plain text, HTML, large print, voice
    deciding       who may approve or retire a module
    approvals      what of all decisions holds today
    approvals_file the decisions, signed and kept for good
    standing_today what holds of them in a home today
    choice         the module that a patient may get, or why none
    draft          variants that a program writes, as files that nothing is sent from
    generator      that program, started and ended

Everything here but ``folder``, ``approvals_file``, ``standing_today`` and ``generator`` is pure, and knows no command
and no page.
"""
