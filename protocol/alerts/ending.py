"""Certificates that end soon: told at 30 days, at 7, and at 1."""

from wardround.protocol.alerts.alert import Alert

DAYS = (1, 7, 30)


def ending(event: str, name: str, days_left: int, remedy: str) -> Alert | None:
    """Give the alert about a certificate that has so many days left; None where there are more than 30.

    Each threshold is an alert of its own; one that has ended is the last of them.
    """
    if days_left < 0:
        return Alert(event=event, subject=f"{name}, ended", text=f"{name} has ended", remedy=remedy)
    most = next((days for days in DAYS if days_left <= days), None)
    if most is None:
        return None
    left = "1 day" if most == 1 else f"{most} days"
    return Alert(event=event, subject=f"{name}, {left}", text=f"{name} ends in at most {left}", remedy=remedy)
