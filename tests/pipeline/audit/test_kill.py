"""An audit that is killed at random and started again ends with the same certificate."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.audit.certify import certify
from forgetting.pipeline.audit.verify import verify
from forgetting.runs.redact import redactor_of
from tests.pipeline.finished_run.test_ask import made

SETTINGS = {
    "greedy": {},
    "form": {},
    "sample": {"n": 8},
    "quantise": {"to": "int4"},
    "relearn-kin": {"rates": "1e-3", "steps": 8, "every": 2, "batch_size": 4, "rank": 2},
    "layers": {},
    "health": {},
}
CHILD = """
import json, sys
from pathlib import Path
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.audit.certify import certify
run, oracle, settings = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
print("ready", flush=True)
certify(run, audit(run, attacks=list(settings), settings=settings, oracle=oracle))
"""


def audited(run: Path, oracle: Path) -> None:
    certify(run, audit(run, attacks=list(SETTINGS), settings=SETTINGS, oracle=str(oracle)))


def killed(run: Path, oracle: Path, after: float) -> bool:
    """Whether an audit was under way when it was killed so many seconds after its start."""
    command = [sys.executable, "-c", CHILD, str(run), str(oracle), json.dumps(SETTINGS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(after)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def written(run: Path) -> dict[str, object]:
    """The certificate without its date, and everything that attacks answered."""
    certificate = json.loads((run / "certificate.json").read_text())
    certificate["predicate"].pop("date")
    records = {p.relative_to(run).as_posix(): p.read_bytes() for p in sorted(run.glob("audits/*/*.jsonl"))}
    return {"certificate": certificate, "asked": (run / "audit.json").read_bytes(), **records}


@pytest.mark.slow
def test_killed_at_five_random_places_an_audit_ends_with_the_same_certificate(world: Path, tmp_path: Path) -> None:
    stage = [{"method": "graddiff", "adapter": {"rank": 2}}]
    run = made(world, tmp_path / "runs", "run", stage)
    redactor_of(tmp_path / "runs")  # one key for all copies: ids are hashed with it
    copies = [shutil.copytree(tmp_path / "runs", tmp_path / f"killed-{n}") / "run" for n in range(5)]
    began = time.monotonic()
    audited(run, world / "model")
    duration, expected = time.monotonic() - began, written(run)
    assert len(expected) == 2 + 3 * len(SETTINGS)
    for n, copy in enumerate(copies):
        after = random.Random(n).uniform(0.1, 0.9) * duration
        while not killed(copy, world / "model", after):  # it had ended already
            shutil.rmtree(copy.parent)
            shutil.copytree(tmp_path / "runs", copy.parent)
            for name in ("audits", "certificate.json", "certificate.html", "register.json", "audit.json"):
                place = copy / name
                shutil.rmtree(place) if place.is_dir() else place.unlink()
            after /= 2
        audited(copy, world / "model")
        assert written(copy) == expected, f"copy {n}, killed after {after:.2f} of {duration:.2f} s"
        assert verify(copy / "certificate.json") == []
        assert not [p for p in copy.rglob("*") if ".partial" in p.name or p.name == ".lock"]
