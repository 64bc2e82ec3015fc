"""Proposals, people and acts of a small hospital; tests change what they are about."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from wardround.client.outreach.decide.acts import OutreachAct, leaves_of, modules_of
from wardround.client.outreach.decide.standing import StandingApproval
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.policy.outreach import OutreachPolicy, Recipient
from wardround.client.policy.people import People, Person

NOW = datetime(2026, 12, 10, 9, tzinfo=UTC)
TODAY = NOW.date()
GRACE, IDA, ADA = "Grace Hopper", "Ida Rhodes", "Ada Byron"
TEXTS = Recipient(name="texts", form="csv", channels=("sms",), folder="texts")
POLICY = OutreachPolicy(alone=5, recipients={"texts": TEXTS})
PEOPLE = People(
    {
        "grace": Person(account="grace", name=GRACE, also=("G. Hopper",), roles=("clinician",)),
        "ida": Person(account="ida", name=IDA, roles=("clinician",)),
        "ada": Person(account="ada", name=ADA, roles=("communications",)),
        "mary": Person(account="mary", name="Mary Shaw", roles=("communications",)),
        "editor": Person(account="editor", name="Jo Wright", roles=("approver",)),
    }
)
DIGEST = "ab" * 32


def proposal(number: int = 1, **changes: object) -> OutreachProposal:
    """One proposal; number: its id, and whose it is."""
    fields = {
        "id": number,
        "token": f"{number:032x}",
        "trigger": "unconfirmed-visit",
        "occasion": "2026-12-12",
        "topic": "screening",
        "module": "visit.en",
        "module_digest": DIGEST,
        "standard": "visit.en",
        "channel": "sms",
        "send_after": NOW - timedelta(hours=1),
        "send_before": NOW + timedelta(hours=8),
        "made_at": NOW - timedelta(hours=2),
    }
    return OutreachProposal(**{**fields, **changes})  # type: ignore[arg-type]


def act(
    kind: str, proposals: Sequence[OutreachProposal] = (), person: str = GRACE, **changes: object
) -> OutreachAct:
    """What a person did about proposals."""
    fields = {
        "kind": kind,
        "leaves": leaves_of(proposals),
        "modules": modules_of(proposals),
        "person": person,
        "reason": "plain and kind",
        "time": NOW,
    }
    return OutreachAct(**{**fields, **changes})  # type: ignore[arg-type]


def standing(**changes: object) -> StandingApproval:
    """What two people sign for prompt reminders."""
    fields = {
        "trigger": "unconfirmed-visit",
        "module": "visit.en",
        "digest": DIGEST,
        "population": "anybody",
        "until": date(2027, 3, 1),
        "per_day": 100,
        "in_all": 1000,
        "sample": 5,
    }
    return StandingApproval(**{**fields, **changes})  # type: ignore[arg-type]
