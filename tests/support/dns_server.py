"""A DNS server on loopback that answers questions for the names of addresses as a test wants it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
from dns.rdtypes.ANY.PTR import PTR


class DnsServer:
    """Answers with names, as labels of any bytes; other addresses do not exist."""

    def __init__(self, names: Mapping[str, tuple[bytes, ...]], *, silent: bool = False, garbage: bytes = b"") -> None:
        self._names = {dns.reversename.from_address(address): labels for address, labels in names.items()}
        self._silent = silent
        self._garbage = garbage
        self.asked: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def run(self) -> None:
        """Answer until an empty datagram comes."""
        while True:
            datagram, peer = self.socket.recvfrom(4096)
            if not datagram:
                return
            query = dns.message.from_wire(datagram)
            self.asked.append(dns.reversename.to_address(query.question[0].name))
            if not self._silent:
                self.socket.sendto(self._garbage or self._answer(query).to_wire(), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        labels = self._names.get(query.question[0].name)
        if labels is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            target = PTR(dns.rdataclass.IN, dns.rdatatype.PTR, dns.name.Name((*labels, b"")))
            reply.answer.append(dns.rrset.from_rdata(query.question[0].name, 300, target))
        return reply


@contextmanager
def serving(server: DnsServer) -> Iterator[DnsServer]:
    """Run a server in a thread."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.socket.getsockname())
        thread.join()
        server.socket.close()
