from __future__ import annotations

from common.errors import ConfigError, UserError, WireError


def test_a_config_error_is_a_user_error_and_ends_with_1():
    assert issubclass(ConfigError, UserError)
    assert UserError("no").exit_code == 1


def test_a_wire_error_has_a_reason_to_count_by_and_a_detail_to_read():
    error = WireError("crc", "the frame's checksum is wrong")
    assert (error.reason, str(error)) == ("crc", "the frame's checksum is wrong")
    assert isinstance(error, ValueError)
