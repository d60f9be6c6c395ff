"""Alarms delivered to other programs: files, syslog, webhooks, hooks."""
