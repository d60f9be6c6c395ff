# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Walk over pcap and pcapng bytes and count every packet into a flow table, without Python objects.

Feed-style and without I/O: the caller maps or reads the file and passes what it has; the walker says
how far it came.  Formats: the pcap savefile in both byte orders and resolutions, and pcapng (the IETF
opsawg drafts) with several sections and interfaces.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from sensor.capture._bpf cimport FilterProgram
from sensor.flow._table cimport FlowTable

from sensor.decode._frame import SUPPORTED_LINK_TYPES

cdef extern from *:
    """
    #define tw_prefetch(address) __builtin_prefetch(address)
    """
    void tw_prefetch(const void* address) noexcept nogil

cdef enum:
    PCAP_HEADER_BYTES = 24
    PCAP_RECORD_BYTES = 16
    MAX_PACKET_BYTES = 1 << 20      # libpcap's own bound is 256 KiB; some writers go over it
    MAX_BLOCK_BYTES = 16 << 20
    MAX_INTERFACES = 4096
    BLOCK_SECTION = 0x0A0D0D0A
    BLOCK_INTERFACE = 1
    BLOCK_PACKET = 2                # obsolete, still in old files
    BLOCK_SIMPLE = 3
    BLOCK_ENHANCED = 6
    OPTION_TSRESOL = 9
    OPTION_TSOFFSET = 14

cdef uint32_t SECTION_ORDER = 0x1A2B3C4D
cdef int64_t SECOND = 1000000000
cdef int64_t LATEST_S = 4600000000      # in 2115; what the flow table takes
cdef uint64_t LATEST_UNSIGNED_S = 9000000000

cdef struct Interface:
    int link_type
    uint32_t snap_length
    uint64_t units_per_second   # 0: binary resolution, see shift
    uint8_t shift
    int64_t offset_s


class NotACapture(ValueError):
    """The first bytes belong to neither pcap nor pcapng."""


class CaptureDamaged(ValueError):
    """The file cannot be followed any further; ``offset`` says from where. Earlier packets count."""

    def __init__(self, fact, offset):
        super().__init__(f"{fact} at offset {offset}")
        self.offset = offset


cdef inline uint32_t u32(const uint8_t* at, bint swapped) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    if swapped:
        value = (value >> 24) | ((value >> 8) & 0xFF00) | ((value << 8) & 0xFF0000) | (value << 24)
    return value


cdef inline uint16_t u16(const uint8_t* at, bint swapped) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return <uint16_t> ((value >> 8) | (value << 8)) if swapped else value


cdef class CaptureWalker:
    """Counts the packets of one capture into a table.

    ``feed`` is called with the bytes from ``offset`` on until it has consumed all of them; it returns
    early when the table wants to be drained.  At the end, bytes left over mean a capture cut off in
    the middle of a packet.
    """

    cdef readonly uint64_t offset           # of the next byte wanted, in the file
    cdef readonly str format                # "pcap", "pcapng" or "" before the first bytes
    cdef readonly set unknown_link_types    # seen here and not decoded
    cdef FlowTable table
    cdef str expression
    cdef dict programs
    cdef FilterProgram current_filter       # of pcap's only link type
    cdef list filters                       # of pcapng's interfaces
    cdef bint swapped, nanoseconds
    cdef int link_type
    cdef int64_t last_ns                    # of the packet before, in pcapng
    cdef Interface* interfaces
    cdef uint32_t interface_count

    def __cinit__(self, FlowTable table not None, str expression=""):
        self.table = table
        self.expression = expression
        self.programs = {}
        self.format = ""
        self.unknown_link_types = set()
        self.filters = []

    def __dealloc__(self):
        free(self.interfaces)

    def feed(self, const uint8_t[::1] data not None):
        """Count the whole packets at the start of ``data``; return the number of bytes consumed."""
        cdef size_t size = <size_t> data.shape[0]
        cdef size_t used = 0
        cdef const uint8_t* at
        if size == 0:
            return 0
        at = &data[0]
        if not self.format:
            used = self.open(at, size)
            if not self.format:
                return 0
            self.offset = used
        if self.format == "pcap":
            return used + self.walk_pcap(at + used, size - used)
        return used + self.walk_pcapng(at + used, size - used)

    cdef size_t open(self, const uint8_t* at, size_t size) except? 0:
        """Recognise the format; return the bytes of its file header."""
        cdef uint32_t magic
        if size < 4:
            return 0
        magic = u32(at, False)
        if magic == BLOCK_SECTION:
            self.format = "pcapng"
            return 0
        if magic not in (0xA1B2C3D4, 0xD4C3B2A1, 0xA1B23C4D, 0x4D3CB2A1):
            raise NotACapture("not a capture file")
        if size < PCAP_HEADER_BYTES:
            return 0
        self.swapped = magic in (0xD4C3B2A1, 0x4D3CB2A1)
        self.nanoseconds = magic in (0xA1B23C4D, 0x4D3CB2A1)
        if u16(at + 4, self.swapped) != 2:
            raise NotACapture(f"pcap version {u16(at + 4, self.swapped)}, only 2 is known")
        self.link_type = u32(at + 20, self.swapped) & 0x03FFFFFF     # above it: whether frames end in a check sequence
        self.current_filter = self.filter_for(self.link_type)
        self.format = "pcap"
        return PCAP_HEADER_BYTES

    cdef FilterProgram filter_for(self, int link_type):
        if link_type not in SUPPORTED_LINK_TYPES:
            self.unknown_link_types.add(link_type)
            return None     # its packets are rejected before a filter could matter
        if not self.expression:
            return None
        if link_type not in self.programs:
            self.programs[link_type] = FilterProgram(self.expression, link_type)
        return self.programs[link_type]

    # -- pcap ------------------------------------------------------------------------------------

    cdef size_t walk_pcap(self, const uint8_t* at, size_t size) except? 0:
        cdef size_t used = 0
        cdef uint32_t captured, length, fraction
        cdef int64_t time_ns, fraction_ns = 1 if self.nanoseconds else 1000
        cdef bint swapped = self.swapped, too_long = False
        cdef int link_type = self.link_type
        cdef FlowTable table = self.table
        cdef FilterProgram program = self.current_filter
        cdef bint filtering = program is not None
        with nogil:
            while size - used >= PCAP_RECORD_BYTES and not table.wants_drain():
                captured = u32(at + used + 8, swapped)
                length = u32(at + used + 12, swapped)
                if captured > MAX_PACKET_BYTES:
                    too_long = True
                    break
                if size - used - PCAP_RECORD_BYTES < captured:
                    break
                fraction = u32(at + used + 4, swapped)
                time_ns = u32(at + used, swapped) * SECOND + fraction * fraction_ns
                used += PCAP_RECORD_BYTES
                # The next record's header, and the headers of its frame, while this one is counted.
                tw_prefetch(at + used + captured)
                tw_prefetch(at + used + captured + 64)
                if length < captured:
                    length = captured
                if filtering and not program.matches(at + used, captured, length):
                    table.packets += 1
                    table.filtered += 1
                else:
                    table.count_frame(link_type, time_ns, at + used, captured, length)
                used += captured
            table.settle()
        self.offset += used
        if too_long and used == 0:
            raise CaptureDamaged(f"a packet record claims {captured} bytes", self.offset)
        return used

    # -- pcapng ----------------------------------------------------------------------------------

    cdef size_t walk_pcapng(self, const uint8_t* at, size_t size) except? 0:
        cdef size_t used = 0
        cdef uint32_t kind, total
        while size - used >= 12 and not self.table.wants_drain():
            kind = u32(at + used, self.swapped)
            if kind == BLOCK_SECTION:
                self.swapped = u32(at + used + 8, False) != SECTION_ORDER
                if u32(at + used + 8, self.swapped) != SECTION_ORDER:
                    return self.damaged("a section header without a byte order", used)
            total = u32(at + used + 4, self.swapped)
            if total < 12 or total % 4 or total > MAX_BLOCK_BYTES:
                return self.damaged(f"a block claims {total} bytes", used)
            if size - used < total:
                break
            if u32(at + used + total - 4, self.swapped) != total:
                return self.damaged("a block's two lengths differ", used)
            if not self.take_block(kind, at + used + 8, total - 12):
                return self.damaged(f"a malformed block of type {kind}", used)
            used += total
        self.table.settle()
        self.offset += used
        return used

    cdef size_t damaged(self, str fact, size_t used) except? 0:
        """Report damage once everything before it has been handed back as consumed."""
        self.table.settle()
        self.offset += used
        if used == 0:
            raise CaptureDamaged(fact, self.offset)
        return used

    cdef bint take_block(self, uint32_t kind, const uint8_t* body, uint32_t size) except -1:
        cdef uint32_t interface, captured, length
        cdef uint64_t units
        if kind == BLOCK_ENHANCED or kind == BLOCK_PACKET:
            if size < 20:
                return False
            interface = u32(body, self.swapped) if kind == BLOCK_ENHANCED else u16(body, self.swapped)
            units = <uint64_t> u32(body + 4, self.swapped) << 32 | u32(body + 8, self.swapped)
            captured = u32(body + 12, self.swapped)
            length = u32(body + 16, self.swapped)
            if interface >= self.interface_count or captured > size - 20:
                return False
            self.count(interface, packet_time(&self.interfaces[interface], units), body + 20, captured, length)
        elif kind == BLOCK_SIMPLE:
            if size < 4 or self.interface_count == 0:
                return False
            length = u32(body, self.swapped)
            captured = size - 4 if length > size - 4 else length
            if self.interfaces[0].snap_length and captured > self.interfaces[0].snap_length:
                captured = self.interfaces[0].snap_length
            # A simple packet block has no time: it happens when the packet before it did.
            self.count(0, self.last_ns, body + 4, captured, length)
        elif kind == BLOCK_INTERFACE:
            return self.add_interface(body, size)
        elif kind == BLOCK_SECTION:
            self.interface_count = 0
            self.filters = []
            return size >= 16
        return True

    cdef void count(
        self, uint32_t interface, int64_t time_ns, const uint8_t* frame, uint32_t captured, uint32_t length
    ):
        cdef FilterProgram program = self.filters[interface]
        self.last_ns = time_ns
        if length < captured:
            length = captured
        if program is not None and not program.matches(frame, captured, length):
            self.table.packets += 1
            self.table.filtered += 1
        else:
            self.table.count_frame(self.interfaces[interface].link_type, time_ns, frame, captured, length)

    cdef bint add_interface(self, const uint8_t* body, uint32_t size) except -1:
        cdef Interface* grown
        cdef Interface* interface
        self.table.settle()     # a filter may be refused below, and the caller's bytes be gone then
        if size < 8 or self.interface_count >= MAX_INTERFACES:
            return False
        grown = <Interface*> realloc(self.interfaces, (self.interface_count + 1) * sizeof(Interface))
        if grown == NULL:
            raise MemoryError()
        self.interfaces = grown
        interface = &grown[self.interface_count]
        memset(interface, 0, sizeof(Interface))
        interface.link_type = u16(body, self.swapped)
        interface.snap_length = u32(body + 4, self.swapped)
        interface.units_per_second = 1000000
        if not self.read_options(interface, body + 8, size - 8):
            return False
        self.filters.append(self.filter_for(interface.link_type))
        self.interface_count += 1
        return True

    cdef bint read_options(self, Interface* interface, const uint8_t* at, uint32_t size) noexcept:
        cdef uint16_t code, length
        cdef uint32_t used = 0, _i
        cdef uint64_t value
        while size - used >= 4:
            code = u16(at + used, self.swapped)
            length = u16(at + used + 2, self.swapped)
            used += 4
            if code == 0:
                return True
            if length > size - used:
                return False
            if code == OPTION_TSRESOL and length == 1:
                if at[used] & 0x80:
                    interface.units_per_second = 0
                    interface.shift = at[used] & 0x7F
                    if interface.shift > 63:
                        return False
                else:
                    if at[used] > 19:
                        return False
                    interface.units_per_second = 1
                    for _i in range(at[used]):
                        interface.units_per_second *= 10
            elif code == OPTION_TSOFFSET and length == 8:
                value = (
                    <uint64_t> u32(at + used + 4, self.swapped) << 32 | u32(at + used, self.swapped)
                    if not self.swapped and is_little_endian() or self.swapped and not is_little_endian()
                    else <uint64_t> u32(at + used, self.swapped) << 32 | u32(at + used + 4, self.swapped)
                )
                interface.offset_s = <int64_t> value
            used += (length + 3) & ~3
            if used > size:
                return False
        return True


cdef inline bint is_little_endian() noexcept nogil:
    cdef uint16_t probe = 1
    return (<uint8_t*> &probe)[0] == 1


cdef int64_t packet_time(Interface* interface, uint64_t units) noexcept nogil:
    """Return ns since 1970, or -1 (which no packet is counted with) when it is out of range."""
    cdef uint64_t whole, rest, ns
    cdef int64_t second
    if interface.units_per_second == 0:
        whole = units >> interface.shift
        rest = units & ((<uint64_t> 1 << interface.shift) - 1)
        if interface.shift > 34:    # keep rest * 10**9 within 64 bits; 2**-34 s is 0.06 ns
            ns = ((rest >> (interface.shift - 34)) * 1000000000) >> 34
        else:
            ns = (rest * 1000000000) >> interface.shift
    else:
        whole = units // interface.units_per_second
        rest = units % interface.units_per_second
        if interface.units_per_second <= 1000000000:
            ns = rest * (1000000000 // interface.units_per_second)
        else:
            ns = rest // (interface.units_per_second // 1000000000)
    if whole > LATEST_UNSIGNED_S or interface.offset_s > LATEST_S or interface.offset_s < -2 * LATEST_S:
        return -1
    second = <int64_t> whole + interface.offset_s
    if second < 0 or second > LATEST_S:
        return -1
    return second * SECOND + <int64_t> ns
