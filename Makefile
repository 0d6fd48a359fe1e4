# Shortcuts. All of them use the environment that launch/test.sh makes in .venv.

.PHONY: check format test test-mpi report ci

check:  ## format, lint and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format:  ## rewrite the files in the project's format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test:  ## the tests that start no ranks
	.venv/bin/python -m pytest --ignore tests/collectives --ignore tests/launch

test-mpi:  ## the tests of the exchange and of the launch scripts
	.venv/bin/python -m pytest tests/collectives tests/launch

report:  ## docs/spinnaker-resnet50.md with its figures, predicted anew
	.venv/bin/python docs/spinnaker-resnet50/predict.py
	.venv/bin/python docs/spinnaker-resnet50/render.py

ci:  ## what continuous integration runs
	bash .ci/run
