"""A certificate as a file: a verdict in the shape of an in-toto Statement, which any tool can sign.

Source of the shape: in-toto Attestation Framework, Statement v1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from forgetting.audits.certificate.verdict import EXIT, Verdict
from forgetting.audits.certificate.words import claim, limits, line
from forgetting.metrics.proportions import LEVEL

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:forgetting:audit:v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a verdict was computed from; everything but `date` is the same whenever it is computed."""

    files: Mapping[str, str]
    """SHA-256 of every file of the model: weights, adapter, tokenizer."""
    models: Mapping[str, str]
    """Digests of the weights of the model before, after and of the oracle, as they were loaded."""
    attacks: Sequence[Mapping[str, Any]]
    """Of every attack that was run: name, package, parameters, seed, records."""
    asked: Sequence[str]
    """The names of all attacks that were asked for."""
    left_out: Sequence[str]
    """Of those, the ones that the run's data or model do not allow."""
    recipe: str
    """SHA-256."""
    data: Mapping[str, Any]
    """By role, a keyed digest of the examples and their number."""
    request: Mapping[str, Any]
    """What was asked for: name of the run, when, how many facts, a keyed commitment to them."""
    key: str
    """The name of the key of digests, ids and commitments; the key itself is with the owner of the data."""
    code: Mapping[str, str]
    environment: Mapping[str, Any]
    date: str
    chosen_by: int = 0
    """Facts that had a part in choosing settings or checkpoints, and were therefore not tested."""


def statement(verdict: Verdict, sources: Sources) -> dict[str, Any]:
    """The certificate. It holds no text of the data, and its ids are keyed hashes."""
    found = asdict(verdict)
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(sources.files.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "verdict": verdict.state,
            "line": line(verdict),
            "exit_code": EXIT[verdict.state],
            "claim": claim(verdict),
            "limits": limits(verdict, [str(attack["name"]) for attack in sources.attacks], chosen_by=sources.chosen_by),
            "margin": verdict.margin,
            "level": LEVEL,
            "facts": verdict.facts,
            "subjects": verdict.subjects,
            "gates": found["gates"],
            "controls": found["controls"],
            "results": found["found"],
            "bounds": found["bounds"],
            "worst": found["worst"],
            "attacks": [dict(attack) for attack in sources.attacks],
            "asked": {
                "attacks": list(sources.asked),
                "left_out": list(sources.left_out),
                "missing": list(verdict.missing),
                **({"chosen_by": sources.chosen_by} if sources.chosen_by else {}),
            },
            "models": dict(sources.models),
            "request": dict(sources.request),
            "recipe": {"sha256": sources.recipe},
            "data": dict(sources.data),
            "key": sources.key,
            "code": dict(sources.code),
            "environment": dict(sources.environment),
            "date": sources.date,
        },
    }
