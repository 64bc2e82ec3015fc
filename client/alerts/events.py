"""The events that ``alerts.yaml`` may name at a hospital."""

from collections.abc import Mapping
from types import MappingProxyType

STUDY, NOISE_ALONE, TABLES_AWAY = "study_to_approve", "noise_alone", "tables_away"
EXPORT_STALE, BUDGET = "export_stale", "budget"
OPT_OUTS, OPT_OUTS_GONE, PREFERENCES = "opt_outs", "opt_outs_gone", "preferences"
CONTENT, RECALLED = "content", "recalled"
AGENT, LEDGER, HOME, DISK, CLOCK = "agent", "ledger", "home", "disk", "clock"
CERTIFICATE, REVOKED, SERVER_AWAY, SERVER_LIED = "certificate", "revoked", "server_away", "server_lied"
TIMER, ACCOUNT = "timer", "account"

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        STUDY: "a study waits for a person's decision",
        NOISE_ALONE: "tables could not be used, and noise alone was sent (and charged)",
        TABLES_AWAY: "a round waits for tables that cannot be reached",
        EXPORT_STALE: "an export is older than the policy allows",
        BUDGET: "80 % of a privacy budget is spent, or all of it",
        OPT_OUTS: "more complaints or opt-outs than usual for the messages sent",
        OPT_OUTS_GONE: "many opt-outs are no longer in the tables",
        PREFERENCES: "choices of the patients' page lie unread, or its spool has no room or cannot be read",
        CONTENT: "approvals of messages end soon, or hold no longer",
        RECALLED: "an operator recalled a model",
        AGENT: "the agent does not run",
        LEDGER: "the ledger does not open, or an operator holds entries that it lacks",
        HOME: "settings or policy cannot be read",
        DISK: "little room is left",
        CLOCK: "the clock is wrong",
        CERTIFICATE: "a certificate ends within 30, 7 or 1 days",
        REVOKED: "the server does not let this hospital in",
        SERVER_AWAY: "the server cannot be reached",
        SERVER_LIED: "a server signed two requests that contradict each other",
        TIMER: "a run that a timer starts failed, or never began",
        ACCOUNT: "somebody's account was changed by another person's password, or by none",
    }
)
