"""The way to the correlator: the spool on disk, what to send next, and the socket."""
