"""Rule files are read whole or refused in one line; each rule of ours hits what it is for, and no more."""

# ruff: noqa: E501 - the cases of a rule are on one line each

from __future__ import annotations

from importlib.resources import files

import pytest
from signatures import pattern

from sensor.match.look import GramLook
from sensor.match.patterns import PatternError
from sensor.match.rules import read_rules
from sensor.match.stream import PatternSet, StreamMatcher

STARTER = read_rules(files("sensor.match").joinpath("starter.toml").read_bytes(), "starter")
WG = bytes(range(144))
SESSION = b"\x8d\x11\n\x9a\x04\x7f\x33\xe0"
RDP = b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=eltons\r\n"

# name: (bytes that match, near misses)
CASES: dict[str, tuple[list[bytes], list[bytes]]] = {
    "ssh-banner": (
        [b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-1.99-Cisco-1.25\n", b"SSH-2.0-dropbear"],
        [b"ssh-2.0-x", b"SSH-3.0-x", b" SSH-2.0-OpenSSH", b"SSH-2.0-\r\n", b"SSH-2.0 OpenSSH"],
    ),
    "ssh-inside": (
        [b"HTTP/1.1 200 OK\r\n\r\nxSSH-2.0-OpenSSH_9.6\r\n", b"hello\nSSH-2.0-x\n"],
        [b"SSH-2.0-OpenSSH_9.6\r\n", b"the SSH-2.0- protocol", b"is SSH-2.0-x without an end"],
    ),
    "http-connect": (
        [b"CONNECT a.example:22 HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n\r\nCONNECT [::1]:443 HTTP/1.0\r\n"],
        [b"connect a:22 HTTP/1.1\r\n", b"CONNECT  HTTP/1.1\r\n", b"GET /CONNECT a HTTP/1.1\r\n", b"CONNECT a:1 HTTP/2\r\n"],
    ),
    "socks5-request": (
        [b"\x05\x01\x00\x05\x01\x00\x03\x03abc\0\x50", b"\x05\x02\x00\x02\x05\x01\x00\x01\x7f\0\0\1"],
        [b"\x05\x01\x00", b"\x05\x01\x02\x05\x01\x00\x01", b"\x05\x01\x00\x05\x04\x00\x01", b"\0\x05\x01\x00\x05\x01\x00\x01"],
    ),
    "socks5-answer": (
        [b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0", b"\x05\x00\x05\x05\x00\x01"],
        [b"\x05\x02\x05\x00\x00\x01", b"\x05\x00\x05\x09\x00\x01", b"\x05\x00"],
    ),
    "socks4-request": (
        [b"\x04\x01\x00\x50\x01\x02\x03\x04user\x00", b"\x04\x02\x00\x50\x00\x00\x00\x01\x00a.example\x00"],
        [b"\x04\x03\x00\x50\x01\x02\x03\x04\x00", b"\x04\x01\x00\x50\x01\x02\x03\x04user", b"\x05\x01\x00P\x01\x02\x03\x04\x00"],
    ),
    "openvpn-tcp": (
        [b"\x00\x0e\x38" + SESSION + b"\0\0\0\0\0", b"\x00\x2a\x38" + SESSION + b"x" * 33],
        [b"\x00\x0d\x38" + SESSION, b"\x00\x0e\x40" + SESSION, b"\x01\x0e\x38" + SESSION, b"\x00\x0e\x38short"],
    ),
    "openvpn-udp": (
        [b"\x38" + SESSION + b"\0\0\0\0\0"],
        [b"\x38" + SESSION + b"\0\0\0\0\0\0", b"\x38" + SESSION + b"\0\0\0\0\1", b"\x40" + SESSION + b"\0\0\0\0\0"],
    ),
    "wireguard-handshake": (
        [b"\1\0\0\0" + WG, b"\2\0\0\0" + WG[:88]],
        [b"\1\0\0\0" + WG + b"x", b"\1\0\0\0" + WG[:143], b"\4\0\0\0" + WG, b"\2\0\0\0" + WG, b"\1\0\0\1" + WG],
    ),
    "softether": (
        [b"POST /vpnsvc/connect.cgi HTTP/1.1\r\n", b"POST /vpnsvc/vpn.cgi HTTP/1.1\r\n"],
        [b"GET /vpnsvc/connect.cgi HTTP/1.1", b"POST /vpnsvc/connectXcgi HTTP/1.1", b"POST /vpnsvc/connect.cgi HTTP/1.0"],
    ),
    "sstp": (
        [b"SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\n"],
        [b"POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/", b"SSTP_DUPLEX_POST /sra_{00000000-CD49}/"],
    ),
    "pptp-start": (
        [b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4d\x00\x01\x00\x00\x01\x00"],
        [b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4d\x00\x02\x00\x00", b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4e\x00\x01\x00\x00"],
    ),
    "ppp-framed": (
        [b"\x7e\xff\x7d\x23\xc0\x21\x7d\x21", b"login ok\n~\xff}#\xc0!"],
        [b"\x7e\xff\x7d\x23\xc0\x23", b"\x7e\xff\x03\xc0\x21"],
    ),
    "httptunnel": (
        [b"POST /index.html?crap=1449516595 HTTP/1.1\r\n", b"GET http://a:80/index.html?crap=1 HTTP/1.1\r\n"],
        [b"GET /index.html?crap= HTTP/1.1", b"GET /index.html?scrap=1 HTTP/1.1", b"GET /index.html?crap=x HTTP/1.1"],
    ),
    "chisel": (
        [b"Sec-WebSocket-Protocol: chisel-v3\r\n", b"sec-websocket-protocol:chisel-v4"],
        [b"Sec-WebSocket-Protocol: chat\r\n", b"X-Protocol: chisel-v3", b"Sec-WebSocket-Protocol: chisel"],
    ),
    "wstunnel-v1": (
        [b"Sec-WebSocket-Protocol: v1, authorization.bearer.eyJ0eXAiOiJKV1Q\r\n"],
        [b"Sec-WebSocket-Protocol: v2, authorization.bearer.eyJ0", b"Authorization: Bearer eyJ0"],
    ),
    "regeorg": (
        [b"POST /t.php HTTP/1.1\r\nX-CMD: CONNECT\r\n", b"\r\nx-cmd:read\r\n"],
        [b"\r\nX-CMD: CONNECTED\r\n", b"\r\nX-CMDS: READ\r\n", b"X-CMD: READ"],
    ),
    "regeorg-page": ([b"\r\n\r\nGeorg says, 'All seems fine'"], [b"Georg says, All seems fine", b"georg says, 'all seems fine'"]),
    "iodine-version": (
        [b"\x12\x34\x01\0\0\1\0\0\0\0\0\1\x0bvaaaakardli\x01t\x07example\0", b"\x08VAAAAKAB"],
        [b"\x0bvaaabkardli", b"xvaaaakardli", b"\x05vaaaak"],
    ),
    "dnscat2": (
        [b"\0\1\0\0\0\0\0\0\x06dnscat\x12" + b"9ac4015ab1a2000000" + b"\0"],
        [b"\0\x07dnscats\x02ab", b"\0\x06dnscat\0", b"\x03www\x06dnscat\x02ab"],
    ),
    "ptunnel": ([b"\xd5\x20\x08\x80\0\0\0\0", b"\x08\0ab\0\1\0\1\xd5 \x08\x80"], [b"\xd5\x20\x80\x08", b"\x80\x08\x20\xd5"]),
    "rdp-cookie": ([RDP], [RDP.replace(b"\xe0", b"\xd0"), RDP.replace(b"mstshash", b"msts"), RDP[1:], b"Cookie: mstshash=a\r\n"]),
    "vnc-banner": ([b"RFB 003.008\n", b"RFB 004.001\n"], [b"RFB 002.008\n", b"RFB 003.08\n", b"xRFB 003.008\n", b"RFB 003.008\r"]),
    "windows-banner": (
        [b"Microsoft Windows [Version 10.0.19045.3803]\r\n", b"Microsoft Windows [Version 6.1.7601]"],
        [b"Microsoft Windows Version 10.0", b"Microsoft Windows [Version x]", b"Microsoft Word [Version 10.0]"],
    ),
    "windows-prompt": (
        [b"C:\\Users\\me>", b"dir\r\nPS C:\\> ", b"\nD:\\Program Files (x86)>"],
        [b"C:\\Users\\me>dir", b"c:/users>", b"see C:\\>", b"C:\\a|b>", b"<a href=C:\\x>"],
    ),
    "windows-prompt-dialogue": (
        [b"bytes free\r\n\r\nC:\\Windows\\system32>whoami\r\n", b"x\r\n\r\nPS C:\\Users\\me> ls"],
        [b"x\r\nC:\\Windows>", b"\r\n\r\nC:/Windows>", b"\r\n\r\nC:\\a\r\n>"],
    ),
    "unix-prompt": (
        [b"root@web1:/var/www# ", b"x\r\nme@host:~$ id", b"\x1b]0;t\x07me@host:~$ ", b"[root@host ~]# ", b"\x1b[32mme@host:/$ "],
        [b"mail me@host: fine $ ", b"a@b.example:/path", b"Root@web1:/# ", b"me@host:~$", b" root@web1:/# "],
    ),
    "unix-shell-prompt": ([b"sh-5.1$ ", b"x\nbash-4.4# "], [b"zsh-5.1$ ", b"sh-5$ ", b"push-5.1$ ", b"sh-5.1$"]),
    "unix-no-job-control": (
        [b"bash: no job control in this shell\n", b"/bin/sh: 0: can't access tty; job control turned off\n", b"can\xe2\x80\x99t access tty; job control turned off"],
        [b"job control in this shell", b"cannot open tty; job control turned off", b"can access tty; job control turned off"],
    ),
    "unix-id": (
        [b"uid=0(root) gid=0(root) groups=0(root)\n", b"uid=33(www-data) gid=33(www-data)"],
        [b"uid=root gid=root", b"uid=0(root), gid=0(root)", b"?uid=0&gid=0", b"uid=0() gid=0()"],
    ),
    "unix-passwd": (
        [b"root:x:0:0:root:/root:/bin/bash\n", b"\r\n\r\nroot::0:0::/:/bin/sh"],
        [b"toor:x:0:0:root:/root:/bin/bash", b"root:x:1:0:root:/root:/bin/bash", b"notroot:x:0:0:root:/root:/bin/sh", b"root:x:0:0"],
    ),
}  # fmt: skip
RULES = {one.name: one for one in STARTER.patterns}


def hits(name: str, data: bytes, size: int) -> bool:
    matcher = StreamMatcher(PatternSet([RULES[name]], GramLook))
    found = [match for at in range(0, len(data), size) for match in matcher.feed(data[at : at + size])]
    return bool(found + matcher.finish())


def test_every_rule_of_ours_has_its_cases_and_an_explanation() -> None:
    assert RULES.keys() == CASES.keys() == STARTER.explanations.keys()
    assert all(matching and missing for matching, missing in CASES.values())
    assert len(RULES) >= 30


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 5, 4096])
def test_a_rule_hits_what_it_is_for_and_not_what_comes_near(name: str, size: int) -> None:
    matching, missing = CASES[name]
    assert [data for data in matching if not hits(name, data, size)] == []
    assert [data for data in missing if hits(name, data, size)] == []


def test_no_rule_of_ours_can_take_without_end_or_has_to_wait_for_a_whole_window() -> None:
    assert [name for name, one in RULES.items() if one.shape.nested or one.shape.reach > 256] == []


def test_most_rules_of_ours_cost_nothing_on_other_data() -> None:
    always = [STARTER.patterns[number].name for number in GramLook(STARTER.patterns).always]
    assert len(always) <= 9, always


RULE = '[[rule]]\nname = "a"\npattern = "x"\nexplanation = "e"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]]\nname = 'a'", "missing required field `pattern`"),
        (RULE + "colour = 1", "unknown field `colour`"),
        (RULE + "side = 'left'", "Invalid enum value 'left'"),
        (RULE + "protocol = 'sctp'", "rule a: no protocol 'sctp'"),
        (RULE + "protocol = 300", "<= 255"),
        (RULE + RULE, "rule a: there is another rule of this name"),
        (RULE.replace('"x"', '"("'), "rule a: bad pattern '(': missing ), unterminated subpattern at position 0"),
        (RULE.replace('"a"', '"a b"'), "rule"),
        ("= 1", "is not TOML"),
        ("", "missing required field `rule`"),
        ("a = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_bad_rule_file_is_one_line_that_names_the_place(text: str, words: str) -> None:
    with pytest.raises(PatternError) as caught:
        read_rules(text.encode(), "my.toml")
    assert str(caught.value).startswith("my.toml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(PatternError, match="not UTF-8"):
        read_rules(b"\xff\xfe", "my.toml")


def test_a_rule_is_a_pattern_with_its_name_side_and_protocol() -> None:
    (one,) = read_rules((RULE + "side = 'server'\nprotocol = 47\n").encode(), "my.toml").patterns
    assert (one.name, one.side, one.protocol) == ("a", "server", 47)
    assert one.regex == pattern(b"x").regex
