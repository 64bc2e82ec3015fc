"""The events that ``alerts.yaml`` may name at the operator's."""

from collections.abc import Mapping
from types import MappingProxyType

SERVER_DOWN, HOSPITAL_AWAY, CLOCK = "server_down", "hospital_away", "clock"
ROUND_MISSED, APPROVAL = "round_missed", "approval_pending"
FINISHED, STOPPED, NOT_RELEASABLE = "study_finished", "study_stopped", "not_releasable"
CERTIFICATE, DISK, HOME, TIMER = "certificate", "disk", "home", "timer"
ACCOUNT = "account"

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        SERVER_DOWN: "the server does not run",
        HOSPITAL_AWAY: "a hospital of a study that goes on is not connected",
        ROUND_MISSED: "a round was closed without a hospital's answer",
        APPROVAL: "a hospital has not decided on a study",
        FINISHED: "a study has ended, and its model is releasable",
        NOT_RELEASABLE: "a study has ended, and its model is not releasable",
        STOPPED: "a study was stopped, or nobody runs it any more",
        CLOCK: "a hospital's clock is so far off that the server turns it away, or nearly so",
        CERTIFICATE: "a certificate ends within 30, 7 or 1 days",
        DISK: "little room is left",
        HOME: "the operator's home, or a study in it, cannot be read",
        TIMER: "a run that a timer starts failed, or never began",
        ACCOUNT: "somebody's account was changed by another person's password, or by none",
    }
)
