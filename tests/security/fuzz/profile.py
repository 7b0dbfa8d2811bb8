"""How long to look: a quick run finds the same each time; `DIEM_FUZZ_EXAMPLES=20000` looks longer, and elsewhere."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

QUICK_EXAMPLES = 150
EXAMPLES = int(os.environ.get("DIEM_FUZZ_EXAMPLES", str(QUICK_EXAMPLES)))

FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == QUICK_EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)

CORPUS = Path(__file__).parent / "corpus"


def read_corpus(folder: str) -> dict[str, bytes]:
    """Return the inputs in a folder of the corpus by the names of their files."""
    return {path.stem: path.read_bytes() for path in sorted((CORPUS / folder).iterdir())}
