"""HTTP/1 exchanges out of a connection's two streams; no input or output, no clock."""
