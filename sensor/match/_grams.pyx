# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Many short byte strings looked for at once, whatever the case of their letters: two table look-ups a byte."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cdef enum:
    LONGEST = 4
    BITMAP_BITS = 16

cdef uint8_t LOWER[256]
for _letter in range(256):
    LOWER[_letter] = _letter + 32 if 65 <= _letter <= 90 else _letter


cdef inline uint32_t hashed(uint32_t gram) noexcept nogil:
    return (gram * <uint32_t> 2654435761) >> (32 - BITMAP_BITS)


cdef inline uint32_t place_of(uint32_t gram) noexcept nogil:
    gram *= <uint32_t> 2246822519
    return gram ^ gram >> 15


cdef inline uint64_t key_of(int length, uint32_t gram) noexcept nogil:
    return (<uint64_t> length << 32) | gram


cdef class GramFinder:
    """Finds grams of 2 to 4 bytes, given in lower case."""

    cdef uint8_t* long_bits      # of 4 bytes, by hash
    cdef uint8_t* short_bits     # of 2 and 3 bytes, by the last two
    cdef uint64_t* keys          # open addressing; 0 is free
    cdef uint32_t* slots
    cdef uint32_t mask
    cdef int64_t* last           # where each gram was seen last in this call, from the start of data; or none
    cdef uint32_t* seen
    cdef Py_ssize_t size
    cdef bint has_short

    def __cinit__(self, grams):
        cdef uint32_t capacity = 16
        self.size = len(grams)
        while capacity < 4 * self.size:
            capacity *= 2
        self.mask = capacity - 1
        self.long_bits = <uint8_t*> calloc((1 << BITMAP_BITS) // 8, 1)
        self.short_bits = <uint8_t*> calloc((1 << BITMAP_BITS) // 8, 1)
        self.keys = <uint64_t*> calloc(capacity, sizeof(uint64_t))
        self.slots = <uint32_t*> calloc(capacity, sizeof(uint32_t))
        self.last = <int64_t*> calloc(self.size + 1, sizeof(int64_t))
        self.seen = <uint32_t*> calloc(self.size + 1, sizeof(uint32_t))
        if not (self.long_bits and self.short_bits and self.keys and self.slots and self.last and self.seen):
            raise MemoryError()
        for slot, gram in enumerate(grams):
            self.add(slot, gram)

    def __dealloc__(self):
        free(self.long_bits)
        free(self.short_bits)
        free(self.keys)
        free(self.slots)
        free(self.last)
        free(self.seen)

    cdef int add(self, uint32_t slot, bytes gram) except -1:
        cdef int length = len(gram)
        cdef uint32_t value = 0, bit, at
        cdef uint64_t key
        if not 2 <= length <= LONGEST or gram != gram.lower():
            raise ValueError(f"a gram has 2 to {LONGEST} bytes in lower case, not {gram!r}")
        for letter in gram:
            value = value << 8 | <uint8_t> letter
        key = key_of(length, value)
        at = place_of(value) & self.mask
        while self.keys[at]:
            if self.keys[at] == key:
                raise ValueError(f"the gram {gram!r} is given twice")
            at = (at + 1) & self.mask
        self.keys[at] = key
        self.slots[at] = slot
        if length == LONGEST:
            bit = hashed(value)
            self.long_bits[bit >> 3] |= 1 << (bit & 7)
        else:
            bit = value & 0xFFFF
            self.short_bits[bit >> 3] |= 1 << (bit & 7)
            self.has_short = True
        return 0

    cdef inline int64_t slot_of(self, int length, uint32_t value) noexcept nogil:
        cdef uint64_t key = key_of(length, value)
        cdef uint32_t at = place_of(value) & self.mask
        while self.keys[at]:
            if self.keys[at] == key:
                return self.slots[at]
            at = (at + 1) & self.mask
        return -1

    def find(self, const uint8_t[::1] data not None, bytes before=b""):
        """Return (number of the gram, where it began last) of the grams that end in ``data``.

        ``before`` are up to three bytes that went before data; a place among them is negative.
        """
        cdef Py_ssize_t at, known = min(len(before), LONGEST - 1), found = 0, i
        cdef uint32_t value = 0, bit
        cdef const uint8_t* bytes_
        if self.size == 0 or data.shape[0] == 0:
            return []
        for letter in before[len(before) - known:]:
            value = value << 8 | LOWER[<uint8_t> letter]
        bytes_ = &data[0]
        with nogil:
            for at in range(data.shape[0]):
                value = value << 8 | LOWER[bytes_[at]]
                known += 1
                bit = hashed(value)
                if self.long_bits[bit >> 3] & (1 << (bit & 7)) and known >= LONGEST:
                    found = self.note(self.slot_of(LONGEST, value), at - 3, found)
                if self.has_short:
                    bit = value & 0xFFFF
                    if self.short_bits[bit >> 3] & (1 << (bit & 7)):
                        if known >= 2:
                            found = self.note(self.slot_of(2, value & 0xFFFF), at - 1, found)
                        if known >= 3:
                            found = self.note(self.slot_of(3, value & 0xFFFFFF), at - 2, found)
        result = []
        for i in range(found):
            result.append((self.seen[i], self.last[self.seen[i]] - LONGEST))
            self.last[self.seen[i]] = 0
        return result

    cdef inline Py_ssize_t note(self, int64_t slot, Py_ssize_t start, Py_ssize_t found) noexcept nogil:
        """Remember where a gram began; return how many different ones there are. Places are kept above zero."""
        if slot < 0:
            return found
        if self.last[slot] == 0:
            self.seen[found] = <uint32_t> slot
            found += 1
        self.last[slot] = start + LONGEST
        return found
