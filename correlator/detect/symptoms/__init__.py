"""Tests for symptoms, a module for each kind: flows and channels in, sights out."""
