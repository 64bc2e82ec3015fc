"""How a hospital's modules stand today: by its log of decisions, and by who is enrolled in ``people.yaml``."""

from datetime import datetime

from wardround.client.home.home import Home
from wardround.client.outreach.content.approvals import Standing, standings
from wardround.client.outreach.content.approvals_file import ContentApprovals
from wardround.client.outreach.content.folder import ContentFolder
from wardround.client.policy.people import People


def standings_today(home: Home, content: ContentFolder, people: People, now: datetime) -> dict[str, Standing]:
    """Say how each module stands, by name; ConfigurationError where the log was altered.

    people: read with the home's time zone.
    """
    decisions = ContentApprovals(home.approvals_folder, home.key.public).read()
    return standings(content.modules, content.guidelines, decisions, people, home.date(now))
