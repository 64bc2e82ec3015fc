"""The page as one self-contained HTML file: no script, nothing loaded from elsewhere; settings' words are escaped."""

from wardround.client.notice.page import render
from wardround.client.outreach.notice.facts import OutreachFacts
from wardround.client.outreach.notice.language import SECTIONS, message_file
from wardround.client.outreach.notice.sentences import sentences


def outreach_notice_html(facts: OutreachFacts, language: str) -> str:
    """Say the facts to patients; ConfigurationError where there is no message file of this language."""
    words = message_file(language)
    said = sentences(facts, words)
    sections = [(name, [one for one in said if one.section == name]) for name in SECTIONS]
    return render(
        "outreach.html", "wardround.client.outreach.notice", facts=facts, words=words, sections=sections
    )
