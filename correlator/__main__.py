"""Run the correlator's command line as ``python -m correlator``."""

from __future__ import annotations

from correlator.cli import main

main()
