"""First bytes as programs send them: hellos, banners with their key exchange, heads, frames of WebSocket."""

from __future__ import annotations

import struct
import zlib

REQUEST = b"GET /x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x/1\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def connect(target: str, fields: str = "") -> bytes:
    """A client's request for a tunnel."""
    return f"CONNECT {target} HTTP/1.1\r\n{fields}\r\n".encode()


def client_hello(name: str = "a.example", padding: int = 0) -> bytes:
    """A ClientHello for a server's name, as long as a key share of so many bytes makes it."""
    entry = struct.pack(">BH", 0, len(name)) + name.encode()
    extensions = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
    extensions += struct.pack(">HH", 51, padding) + bytes(padding) if padding else b""
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    return b"\x16\x03\x01" + struct.pack(">H", len(body) + 4) + b"\x01" + struct.pack(">I", len(body))[1:] + body


def server_hello() -> bytes:
    """A ServerHello of TLS 1.2."""
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\xc0\x2f" + b"\x00\x00\x00"
    return b"\x16\x03\x03" + struct.pack(">H", len(body) + 4) + b"\x02" + struct.pack(">I", len(body))[1:] + body


def ssh(side: str, software: str = "OpenSSH_9.2p1") -> bytes:
    """A banner of SSH and the key exchange behind it; ``side`` is c or s."""
    names = f"curve25519-sha256,ext-info-{side},kex-strict-{side}-v00@openssh.com".encode()
    payload = b"\x14" + bytes(16) + struct.pack(">I", len(names)) + names + bytes(45)
    return f"SSH-2.0-{software}\r\n".encode() + struct.pack(">IB", len(payload) + 5, 4) + payload + bytes(4)


def frame(data: bytes, mask: bytes = b"", opcode: int = 2) -> bytes:
    """A WebSocket's frame, masked by four bytes or not at all."""
    marked = 0x80 if mask else 0
    size = len(data)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, marked | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, marked | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, marked | 127, size)
    return head + mask + (bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)) if mask else data)


def deflated(message: bytes) -> bytes:
    """A message as permessage-deflate sends it: without the tail."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
