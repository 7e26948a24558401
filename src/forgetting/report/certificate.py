"""The certificate as a page for a reader who is no engineer; it prints on two sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from forgetting.audits.certificate.gates import KEPT, MORE
from forgetting.audits.certificate.words import VALUES, ceiling
from forgetting.report.template import page
from forgetting.runs.audits import own_name
from forgetting.runs.register import Request

TRIED = {
    "greedy": "asked once and plainly",
    "form": "asked in other words: paraphrased, as a sentence to complete, the other way round, with answers to choose",
    "prompt": "asked with a nudge: the beginning of an answer, a role to play, a hint",
    "context": "asked after examples of other questions and their answers",
    "sample": "asked many times, with a little chance in each answer; one right answer counts",
    "quantise": "asked of a compressed copy of the model",
    "relearn-kin": "asked after a copy of the model was trained on some of the facts, about the others",
    "relearn-benign": "asked after a copy of the model was trained on harmless text",
    "suffix": "asked with a suffix that a search had found",
    "membership": "judged by how familiar the text is to the model",
    "near": "asked for facts close to those that were to be forgotten",
    "posterior": "looked at for what its difference to the model before gives away",
    "health": "looked at for broken answers",
    "layers": "looked for inside the model",
}
"""What an attack does, in words for everyone; of one that is not here its name is shown."""
SAID = {
    "shown": "Under every attack that was tried and could tell, the model gave away as much about these facts as a "
    "model that never saw them, to within {per} in 100.",
    "refuted": "The model still gives away more about these facts than a model that never saw them, by more than {per} "
    "in 100.",
    "not shown": "It is not shown that the model gives away as little about these facts as a model that never saw "
    "them, to within {per} in 100. That is no proof that it gives away more.",
    "uninterpretable": "The model is damaged: it lost too much of what it should have kept, or its answers are broken. "
    "A damaged model says little about anything, so its silence about these facts means nothing.",
}
NEXT = {
    "shown": "Keep this page and the file beside it. A later request to the same model can undo this one: audit it "
    "again after each, with the facts.",
    "refuted": "The request is not met by this model. Change it again and audit the new one, or train a model without "
    "these facts.",
    "not shown": "Do not rely on this model for the request yet. Facts about more people may decide, or a change that "
    "forgets more closely what was asked for.",
    "no oracle": "Without a model to compare with there is no other answer than this one. Train one without these "
    "facts, or judge by the bounds below.",
    "uninterpretable": "This model is not fit to be used. Go back to the one before, and change that one more gently.",
}
"""What a reader can do, by verdict; without an oracle there is one verdict alone."""
TONES: dict[str, Literal["good", "bad", "open", "note"]] = {
    "shown": "good",
    "refuted": "bad",
    "not shown": "open",
    "uninterpretable": "bad",
    "blind": "note",
}
CAME = {
    "shown": "as much as the comparison, within {per} in 100",
    "not shown": "undecided",
    "refuted": "more than the comparison, by more than {per} in 100",
    "blind": "nothing: this attack cannot tell",
    "no oracle": "no model to compare with",
}
LESS = "less than the comparison, by more than {per} in 100: that tells it apart as well"
"""What came back where the model says too little."""
BESIDE = {"health": "looked at for whether the model still works"}
"""Of what compares no facts; the verdict rests on nothing else of it."""

CHECKED = {
    "finds what is there": "It must get clearly more from the model before than from the comparison",
    "teaches nothing": "It must not get more than half as much from the comparison, which never saw the facts",
    "leaves what should stay": "Where it changes a copy of the model, that copy must still know what should stay",
}
"""What is asked of an attempt before it counts."""
SHORT = {
    "shown": "as little as a model that never saw them",
    "refuted": "more than a model that never saw them",
    "not shown": "undecided",
    "uninterpretable": "the model was damaged",
}
"""What came of an earlier request, after "gave away"."""
STAYS = {"retain": "What it should go on knowing", "utility": "What else it can do"}
"""Of what is looked at to know whether the model still works, by the first word of its name."""
BROKEN = {"loops": "Answers that go round in circles", "empty": "Empty answers"}
"""Of broken answers, by the last word of their name."""
BY = {
    "leak": "by the words of its answers",
    "leak@half": "by the words of half as many answers",
    "probability": "by how likely the answer is",
    "choice": "by what it chooses",
}
"""How an attempt is counted."""


def certificate_page(
    statement: Mapping[str, Any], requests: Sequence[Request] = (), *, holds_texts: bool | None = None
) -> str:
    """The page, from the certificate alone and the register of requests.

    Args:
        statement: see `audits.certificate.statement`.
        requests: of the model line, the earliest first.
        holds_texts: whether the run's folder holds texts of what was to be forgotten; None: not known, not said.
    """
    predicate = statement["predicate"]
    compared = any(found["state"] != "no oracle" for found in predicate["results"])
    return page(
        "certificate.html.j2",
        statement=statement,
        said=predicate,
        sentence=SAID[predicate["verdict"]].format(per=f"{100 * predicate['margin']:g}"),
        next=NEXT[predicate["verdict"] if compared else "no oracle"],
        holds_texts=holds_texts,
        tone=TONES[predicate["verdict"]],
        rows=_rows(predicate, "oracle" if compared else "unseen"),
        columns=["before", "comparison" if compared else "never given", "now"],
        ways=len({own_name(found["attack"]) for found in predicate["results"]}),
        which=_which(predicate),
        compared=compared,
        adapter=any(file["name"].endswith("adapter_config.json") for file in statement["subject"]),
        controls=_controls(predicate),
        works=[_works(gate) for gate in predicate["gates"]],
        short=SHORT,
        per=f"{100 * predicate['margin']:g}",
        most=lambda share: f"{100 * ceiling(share):.0f}",
        bounds=[] if compared else _bounds(predicate),
        requests=[r for r in requests if (r.id, r.date) != (predicate["request"]["id"], predicate["request"]["date"])],
    )


def _which(predicate: Mapping[str, Any]) -> str:
    """Which of the facts were tested, where not all were."""
    apart = predicate["asked"].get("chosen_by", 0)
    if not apart:
        return "drawn at random from those that can be asked for"
    others = "by which nothing was chosen when the model was changed"
    return (
        f"all {others}"
        if predicate["facts"] + apart >= predicate["request"]["facts"]
        else (f"drawn at random from those {others}")
    )


def _works(gate: Mapping[str, Any]) -> str:
    """What became of something that should stay, or of broken answers, in a sentence."""
    before, after = gate["before"], gate["after"]
    name = str(gate["name"])
    if gate["state"] == "unknown" or before is None or after is None:
        return str(gate["text"])
    both = f"{_amount(before)} before, {_amount(after)} now"
    if not gate["keeps"]:
        what = BROKEN.get(name.split(" ")[-1].casefold(), f"Broken answers ({name})")
        return f"{what}: {both}. Up to {100 * MORE:g} in 100 more are allowed."
    kind, _, source = name.split(" ")[0].partition("-")
    what = STAYS.get(kind.casefold(), name) + (f", from {source}" if source else "")
    asked = f"at least {KEPT:.0%} of it must be left" if max(before, after) <= 1 else f"{gate['text'].split(': ')[-1]}"
    return f"{what}: {both}; {asked.rstrip('.')}."


def _amount(value: float) -> str:
    """A share in a hundred; another number as it is."""
    return f"{100 * value:.0f} in 100" if 0 <= value <= 1 else f"{value:.3g}"


def _controls(predicate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was looked at to know whether attacks can tell: a row for each kind, with the attacks by how it came out."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sorted(predicate["controls"], key=lambda c: ("failed", "unknown", "passed").index(c["state"])):
        rows.setdefault((one["name"], one["attack"]), one)
    return [
        {
            "checked": said,
            "passed": [row["attack"] for (of, _), row in rows.items() if of == name and row["state"] == "passed"],
            "failed": [_failed(row) for (of, _), row in rows.items() if of == name and row["state"] == "failed"],
        }
        for name, said in CHECKED.items()
        if any(of == name and row["state"] != "unknown" for (of, _), row in rows.items())
    ]


def _failed(control: Mapping[str, Any]) -> str:
    """The attack, by which value, and what it broke; other numbers stand in the table."""
    if control["name"] != "leaves what should stay":
        return f"{control['attack']} ({BY.get(control['value'], control['value'])})"
    return f"{control['attack']} ({control['text'].replace('the oracle', 'the comparison')})"


def _rows(predicate: Mapping[str, Any], beside: str) -> list[dict[str, Any]]:
    """One row an attack: the value that came out worst; of equals the one that is farthest above what stands beside."""
    worst = ("refuted", "not shown", "no oracle", "shown", "blind")

    def above(found: Mapping[str, Any]) -> float:
        return float(found["after"] or 0.0) - float(found[beside] or 0.0)

    rows: dict[str, dict[str, Any]] = {}
    for found in sorted(predicate["results"], key=lambda f: (worst.index(f["state"]), -above(f))):
        rows.setdefault(found["attack"], found)
    for attack in predicate["attacks"]:
        rows.setdefault(attack["name"], {"attack": attack["name"], "state": ""})
    return [
        {
            **found,
            "tried": _tried(name),
            "came": _came(found, predicate["margin"]),
            "tone": TONES.get(found["state"], "note"),
            "cells": [_per(found.get(model)) for model in ("before", beside, "after")],
            "of": VALUES.get(str(found.get("value")), found.get("value")),
        }
        for name, found in rows.items()
    ]


def _tried(attack: str) -> str:
    """What an attack does, in words for everyone."""
    own = own_name(attack)
    return TRIED.get(own, own) + ("" if own == attack else "; earlier, with other settings")


def _bounds(predicate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What attacks leave possible, those with the same numbers together."""
    found: list[dict[str, Any]] = []
    for bound in predicate["bounds"]:
        same = next((b for b in found if (b["forgotten"], b["unseen"]) == (bound["forgotten"], bound["unseen"])), None)
        if same is None:
            found.append({**bound, "attacks": [bound["attack"]]})
        else:
            same["attacks"].append(bound["attack"])
    return found


def _came(found: Mapping[str, Any], margin: float) -> str:
    """What came back, in words; of what compares no facts, what it is for."""
    if found["state"] not in CAME:
        return BESIDE.get(found["attack"], "measured, and no part of what is said above")
    high = (found.get("difference") or {}).get("high")
    less = found["state"] == "not shown" and high is not None and high < -margin
    return (LESS if less else CAME[found["state"]]).format(per=f"{100 * margin:g}")


def _per(value: float | None) -> str:
    """A share as so many in a hundred."""
    return "—" if value is None else f"{100 * value:.0f}"
