"""Pure detectors: rows and totals in, alarms out."""
