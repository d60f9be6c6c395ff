from __future__ import annotations

from sensor.ship.losses import AGE, DISK_FULL, LOST, READING, SIZE, UNWRITABLE, WRITING, Losses

S = 1_000_000_000


def test_frames_are_counted_by_reason():
    losses = Losses("/spool")
    losses.lose(SIZE, 3)
    losses.lose(SIZE)
    losses.lose(LOST, 0)
    losses.lose(DISK_FULL)
    assert (losses.by_reason, losses.total) == ({SIZE: 4, DISK_FULL: 1}, 5)


def test_drops_are_said_at_once_and_then_once_a_minute():
    losses = Losses("/spool")
    said = []
    for second in range(121):
        losses.lose(SIZE)
        losses.lose(AGE, 2)
        said += [(second, line) for line in losses.news(second * S)]
    assert [second for second, _ in said] == [0, 60, 120]
    assert said[1][1] == (
        "the spool /spool lost 180 frames that the correlator had not taken: "
        "60 at its bound spool_max_bytes, 120 older than spool_max_age_s"
    )
    assert list(losses.news(999 * S)) == []


def test_a_trouble_and_its_end_are_said_once_with_what_it_cost():
    losses = Losses("/spool")
    assert list(losses.news(0)) == []
    for second in range(20):
        losses.trouble(WRITING, "no room")
        losses.lose(DISK_FULL)
        assert list(losses.news(second * S)) == ["no room"][second:]
    losses.trouble(WRITING, "read only")
    losses.lose(UNWRITABLE)
    losses.well(WRITING)
    assert list(losses.news(20 * S)) == ["the spool /spool can be written again; 21 frames were dropped meanwhile"]
    assert list(losses.news(99 * S)) == []


def test_troubles_of_writing_and_reading_are_apart():
    losses = Losses("/spool")
    losses.trouble(WRITING, "w")
    losses.trouble(READING, "r")
    assert list(losses.news(0)) == ["w", "r"]
    losses.well(READING)
    assert list(losses.news(9 * S)) == []
    assert list(losses.news(10 * S)) == ["the spool /spool can be read again"]


def test_a_trouble_that_was_over_before_anybody_asked_is_only_counted():
    losses = Losses("/spool")
    losses.trouble(WRITING, "no room")
    losses.lose(DISK_FULL)
    losses.well(WRITING)
    assert list(losses.news(0)) == []
    assert losses.total == 1
