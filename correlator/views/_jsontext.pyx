# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""Rows of values as JSON objects: a hundred thousand flows are written while Python would make as many dicts."""

from datetime import date

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from common.timespan import iso_time, seconds

cdef enum:
    COUNT_ = 0
    DIGITS_ = 1
    WORD_ = 2
    FLAG_ = 3
    TIME_ = 4
    SECONDS_ = 5

COUNT = COUNT_      # a whole number
DIGITS = DIGITS_    # the same as text
WORD = WORD_        # looked up: value to JSON
FLAG = FLAG_        # true or false
TIME = TIME_        # nanoseconds since 1970 as iso_time writes them
SECONDS = SECONDS_  # nanoseconds as seconds writes them

cdef int64_t NS_PER_S = 1_000_000_000
cdef int64_t DAY_S = 86_400
cdef int64_t EXACT_NS = 1_000_000_000_000_000      # shorter than this, fifteen digits are all there are
cdef int EPOCH_DAY = date(1970, 1, 1).toordinal()


cdef class Text:
    """Bytes that grow."""

    cdef char* at
    cdef size_t used
    cdef size_t room

    def __dealloc__(self):
        free(self.at)

    cdef int reserve(self, size_t more) except -1:
        cdef size_t wanted
        cdef char* grown
        if self.used + more <= self.room:
            return 0
        wanted = max(self.used + more, 2 * self.room, <size_t> 4096)
        grown = <char*> realloc(self.at, wanted)
        if grown == NULL:
            raise MemoryError
        self.at, self.room = grown, wanted
        return 0

    cdef int put(self, bytes text) except -1:
        cdef size_t size = PyBytes_GET_SIZE(text)
        self.reserve(size)
        memcpy(self.at + self.used, PyBytes_AS_STRING(text), size)
        self.used += size
        return 0

    cdef int put_number(self, int64_t number) except -1:
        cdef char digits[24]
        cdef int place = 24
        cdef unsigned long long left = <unsigned long long> number
        self.reserve(24)
        if number < 0:
            self.at[self.used] = 45
            self.used += 1
            left = 0 - left
        while True:
            place -= 1
            digits[place] = <char> (48 + left % 10)
            left //= 10
            if not left:
                break
        memcpy(self.at + self.used, digits + place, 24 - place)
        self.used += 24 - place
        return 0

    cdef int put_padded(self, int64_t number, int width) except -1:
        cdef int place
        self.reserve(width)
        for place in range(width - 1, -1, -1):
            self.at[self.used + place] = <char> (48 + number % 10)
            number //= 10
        self.used += width
        return 0

    cdef int put_fraction(self, int64_t ns) except -1:
        """Write a fraction of a second without the zeros at its end, nothing when there is none."""
        if not ns:
            return 0
        self.put(b".")
        self.put_padded(ns, 9)
        while self.at[self.used - 1] == 48:
            self.used -= 1
        return 0


cdef class Clock:
    """Writes times; the date that came last is kept."""

    cdef int64_t day
    cdef bytes text

    def __cinit__(self):
        self.day = -1

    cdef int put(self, Text out, int64_t time_ns) except -1:
        """Write a time from 1970 on."""
        cdef int64_t whole, second
        whole = time_ns // NS_PER_S
        if whole // DAY_S != self.day:
            self.day = whole // DAY_S
            self.text = f'"{date.fromordinal(EPOCH_DAY + self.day).isoformat()}T'.encode()
        second = whole % DAY_S
        out.put(self.text)
        out.put_padded(second // 3600, 2)
        out.put(b":")
        out.put_padded(second % 3600 // 60, 2)
        out.put(b":")
        out.put_padded(second % 60, 2)
        out.put_fraction(time_ns % NS_PER_S)
        out.put(b'Z"')
        return 0


cdef int put_seconds(Text out, int64_t ns) except -1:
    if ns % NS_PER_S and not -EXACT_NS < ns < EXACT_NS:
        out.put(repr(seconds(ns)).encode())
        return 0
    if ns < 0:
        out.put(b"-")
        ns = -ns
    out.put_number(ns // NS_PER_S)
    out.put_fraction(ns % NS_PER_S)
    return 0


def objects(rows, fields, bytes separator not None):
    """Return the rows as JSON objects with a separator between them.

    A field is (name, kind, place in the row, words): kind is one of those above, ``words`` the mapping of a WORD. A
    number that 64 bits do not hold is written as it is; TypeError and KeyError where a value is not of its kind.
    """
    cdef Text out = Text()
    cdef Clock clock = Clock()
    cdef object row
    cdef list plan = []
    cdef int kind, number
    cdef Py_ssize_t place
    cdef bytes head
    cdef bint first = True
    for number, (name, kind_, place_, words) in enumerate(fields):
        head = (b", " if number else b"") + f'"{name}": '.encode() + (b'"' if kind_ == DIGITS_ else b"")
        plan.append((head, kind_, place_, words))
    for row in rows:
        if not first:
            out.put(separator)
        first = False
        out.put(b"{")
        for head, kind, place, words in plan:
            out.put(head)
            value = row[place]
            if kind == WORD_:
                out.put(words[value])
            elif kind == FLAG_:
                out.put(b"true" if value else b"false")
            elif not -(1 << 63) <= value < 1 << 63:
                out.put(f'"{iso_time(value)}"'.encode() if kind == TIME_ else str(value).encode())
            elif kind == TIME_:
                clock.put(out, max(value, 0))
            elif kind == SECONDS_:
                put_seconds(out, value)
            else:
                out.put_number(value)
            if kind == DIGITS_:
                out.put(b'"')
        out.put(b"}")
    return PyBytes_FromStringAndSize(out.at, out.used)
