"""Rendering: view records as tables for people, and as JSON and csv for programs."""
