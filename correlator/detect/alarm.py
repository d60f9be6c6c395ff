"""Alarms: what an operator is told, with the evidence for it."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_FLOWS: Final = 20


class Severity(StrEnum):
    """How much an alarm matters, least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place in the order, 0 for the least."""
        return list(Severity).index(self)


class Evidence(NamedTuple):
    """One symptom that an alarm rests on."""

    symptom: str
    family: str
    log10_lr: float | None
    value: int | float
    threshold: int | float
    explanation: str


class Alarm(NamedTuple):
    """Symptoms about one subject, for an operator."""

    kind: str
    rule: str
    subject: str
    """What the alarm is about, so that a repeat is known as one: a flow, a channel or a sensor."""
    period_ns: int | None
    """Start of the period or the episode that was measured, when the rule counts per period."""
    severity: Severity
    time_ns: int
    sensor: str | None
    client: str | None
    server: str | None
    host: str | None
    probability: float | None
    message: str
    evidence: tuple[Evidence, ...]
    flows: tuple[str, ...]


def alarm_id(alarm: Alarm) -> str:
    """Return the short hash that a repeat of the alarm shares."""
    text = f"{alarm.kind}|{alarm.rule}|{alarm.subject}|{alarm.period_ns}"
    return blake2b(text.encode(), digest_size=6).hexdigest()
