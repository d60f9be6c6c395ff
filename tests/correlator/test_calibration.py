"""Scores of ordinary traffic on disk."""

from __future__ import annotations

from correlator.detect.budget import Calibration, bucket
from correlator.store.calibration import BASELINE, CHANNELS, keep, load
from correlator.store.database import Store


def test_scores_come_back_as_they_were_kept_by_kind_and_from_a_time_on(store: Store) -> None:
    first, second = bucket(0, 5, [1.5, 0.25]), bucket(3600, 7, [])
    keep(store.conn, f"{BASELINE}client-out", first)
    keep(store.conn, f"{BASELINE}client-out", second)
    keep(store.conn, f"{CHANNELS}6", first)
    assert load(store.conn, BASELINE, 0) == {"client-out": Calibration((first, second))}
    assert load(store.conn, BASELINE, 1) == {"client-out": Calibration((second,))}
    assert load(store.conn, CHANNELS, 0) == {"6": Calibration((first,))}


def test_an_hour_that_is_kept_again_replaces_itself(store: Store) -> None:
    keep(store.conn, f"{BASELINE}client-out", bucket(0, 5, [1.5]))
    keep(store.conn, f"{BASELINE}client-out", bucket(0, 6, [2.5]))
    assert load(store.conn, BASELINE, 0) == {"client-out": Calibration((bucket(0, 6, [2.5]),))}
