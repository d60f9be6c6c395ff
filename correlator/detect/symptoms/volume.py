"""Symptoms of what is carried, out above all: much in an hour, much at once, more out than in, little by little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from correlator.detect.channel import Channel, Surroundings, Visit
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

UPLOAD: Final = "upload"
DOWNLOAD: Final = "download"
UPLOAD_AT_ONCE: Final = "upload-at-once"
OUTBOUND: Final = "outbound-dominant"
SLOW: Final = "slow-exfiltration"
_DAY_HOURS: Final = 24

Bytes = Annotated[int, Meta(ge=1, le=1 << 62)]


class VolumeLimits(Struct, frozen=True, kw_only=True):
    """[detect.volume]: how much out is much."""

    hour_bytes: Bytes = 100_000_000
    day_bytes: Bytes = 1_000_000_000
    hour_in_bytes: Bytes = 1_000_000_000
    day_in_bytes: Bytes = 10_000_000_000
    at_once_bytes: Bytes = 10_000_000
    dominant_pcr: Annotated[float, Meta(gt=0, lt=1)] = 0.6
    dominant_bytes: Bytes = 60_000
    slow_flows: Annotated[int, Meta(ge=2, le=101)] = 10
    slow_flow_bytes: Bytes = 1_000_000


_PCR: Final = "PCR, (out - in) / (out + in) of payload bytes, >= dominant_pcr"

SYMPTOMS: Final = (
    Symptom(
        UPLOAD,
        Family.VOLUME,
        0.9,
        "much is sent in an hour or in a day",
        "bytes sent in one hour >= hour_bytes, or in 24 h >= day_bytes",
        "Castro 2003, volume outbound over a period; 100 MB an hour is Slips', the day's limit expert; LR by Web Tap's "
        "share of true alerts",
        "backups, uploads of pictures and videos, file synchronisation, large pushes with git, conferences",
        "sending less in an hour; several servers",
    ),
    Symptom(
        DOWNLOAD,
        Family.VOLUME,
        0.2,
        "very much is received in an hour or in a day",
        "bytes received in one hour >= hour_in_bytes, or in 24 h >= day_in_bytes",
        "Castro 2003, volume inbound over a period; limits and LR expert; what is usual for a client tells more",
        "video, system images, games, restored backups",
        "receiving less in an hour; several servers",
    ),
    Symptom(
        UPLOAD_AT_ONCE,
        Family.VOLUME,
        0.6,
        "one connection carried much out, and little in",
        f"bytes sent in one flow >= at_once_bytes, and {_PCR}",
        "Castro 2003, volume outbound once; producer/consumer ratio as Argus; threshold and LR expert",
        "backups, uploads of files, mail with attachments, pushes with git",
        "several connections, or answers of the same size",
    ),
    Symptom(
        OUTBOUND,
        Family.VOLUME,
        0.5,
        "over a day much more went out than came in",
        f"bytes sent in 24 h >= dominant_bytes, and {_PCR}",
        "producer/consumer ratio as Argus; 60 KB a day and site is Web Tap's highest limit (CCS 2004), counted here "
        "with all payload and not choosable bytes alone, hence the ratio; LR expert",
        "backups, uploads, mail that is sent, telemetry",
        "downloading as much as is carried out",
    ),
    Symptom(
        SLOW,
        Family.VOLUME,
        0.7,
        "many small connections carried out more than they brought in, little by little",
        f"of the latest flows, slow_flows at least, each with {_PCR} and slow_flow_bytes sent at most, together "
        "dominant_bytes sent at least, and more than half of the flows that carried anything",
        "Castro 2003, small but frequent; thresholds and LR expert",
        "telemetry, log shipping, mail programs that send much, WebDAV backups of small files",
        "padding the answers; weeks between two of them",
    ),
)


def of_channel(channel: Channel, _around: Surroundings, limits: VolumeLimits) -> Iterator[Sight]:
    """Yield what the channel's latest day, and its latest flows, carried out."""
    if channel.hours:
        latest = max(channel.hours)
        day = [hour for number, hour in channel.hours.items() if number > latest - _DAY_HOURS]
        sent, received = [hour.bytes_out for hour in day], [hour.bytes_in for hour in day]
        yield _much(UPLOAD, sent, "sent", limits.day_bytes, limits.hour_bytes)
        yield _much(DOWNLOAD, received, "received", limits.day_in_bytes, limits.hour_in_bytes)
        yield _outbound(sum(sent), sum(received), limits)
    carried = [visit for visit in channel.visits if visit.bytes_out or visit.bytes_in]
    if carried:
        yield _at_once(carried, limits)
    if len(carried) >= limits.slow_flows:
        yield _slow(carried, limits)


def pcr(bytes_out: int, bytes_in: int) -> float:
    """Return the producer/consumer ratio: 1 all out, -1 all in, 0 even or nothing."""
    return (bytes_out - bytes_in) / (bytes_out + bytes_in) if bytes_out + bytes_in else 0.0


def _much(symptom: str, hours: Sequence[int], done: str, day_limit: int, hour_limit: int) -> Sight:
    for carried, limit, when in ((sum(hours), day_limit, "24 h"), (max(hours), hour_limit, "an hour")):
        if carried >= limit:
            text = f"{size_text(carried)} were {done} in {when}; {size_text(limit)} are much"
            return present(symptom, carried, limit, text)
    return absent(symptom)


def _outbound(sent: int, received: int, limits: VolumeLimits) -> Sight:
    ratio = pcr(sent, received)
    if sent < limits.dominant_bytes or ratio < limits.dominant_pcr:
        return absent(OUTBOUND)
    text = f"{size_text(sent)} went out within 24 h and {size_text(received)} came in; browsing has it the other way"
    return present(OUTBOUND, ratio, limits.dominant_pcr, text)


def _at_once(visits: Sequence[Visit], limits: VolumeLimits) -> Sight:
    large = [visit for visit in visits if visit.bytes_out >= limits.at_once_bytes and _goes_out(visit, limits)]
    largest = max(large, key=_sent, default=None)
    if largest is None:
        return absent(UPLOAD_AT_ONCE)
    text = (
        f"one connection sent {size_text(largest.bytes_out)} and got {size_text(largest.bytes_in)}; "
        f"{size_text(limits.at_once_bytes)} are much"
    )
    return present(UPLOAD_AT_ONCE, largest.bytes_out, limits.at_once_bytes, text)


def _slow(visits: Sequence[Visit], limits: VolumeLimits) -> Sight:
    if sum(visit.bytes_out for visit in visits) < limits.dominant_bytes:
        return absent(SLOW)
    small = [visit for visit in visits if _goes_out(visit, limits) and visit.bytes_out <= limits.slow_flow_bytes]
    sent = sum(visit.bytes_out for visit in small)
    if len(small) < max(limits.slow_flows, len(visits) // 2 + 1) or sent < limits.dominant_bytes:
        return absent(SLOW)
    text = (
        f"{len(small)} of {len(visits)} connections carried out {size_text(sent)} together and brought in "
        f"{size_text(sum(visit.bytes_in for visit in small))}"
    )
    return present(SLOW, len(small), limits.slow_flows, text)


def _sent(visit: Visit) -> int:
    return visit.bytes_out


def _goes_out(visit: Visit, limits: VolumeLimits) -> bool:
    return pcr(visit.bytes_out, visit.bytes_in) >= limits.dominant_pcr


def size_text(count: int) -> str:
    """Return a number of bytes for a person."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} bytes"
