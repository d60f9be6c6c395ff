"""``tunnelwatch-sensor capture``: what can be said without an interface; the rest is test_live."""

from __future__ import annotations

from programs import SENSOR, error_line, run


def test_an_interface_has_to_be_named() -> None:
    code, _, err = run(SENSOR, "capture")
    assert code == 2
    assert "'-i'" in err


def test_a_missing_interface_is_one_line() -> None:
    code, _, err = run(SENSOR, "capture", "-i", "none0")
    assert code == 1
    assert "no interface 'none0'" in error_line(err)
