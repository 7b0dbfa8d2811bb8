# placeholder
lock:
	.venv/bin/python -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml -o requirements/runtime.txt
	.venv/bin/python -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --extra dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
