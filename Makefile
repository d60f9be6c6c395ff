# Short names for the scripts; each says at its top what it does and takes.
.POSIX:
.PHONY: setup demo test lint bench fuzz chaos golden lock clean

setup demo test lint bench fuzz chaos lock:
	@scripts/$@

# Write the expected outputs in tests/data again; look at the difference before committing it.
golden:
	@scripts/test -q -m golden --update-golden

clean:
	rm -rf build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench/tmp fuzz/tmp demo-data
	find sensor correlator \( -name '*.so' -o -name '*.c' -o -name '*.html' \) -type f -exec rm -f {} +
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
