"""The page of methods is the one that they give now, and every rule and transform says when to use it."""

from __future__ import annotations

import inspect
from pathlib import Path

from forgetting.models.transforms import TRANSFORMS
from forgetting.objectives.gradient_rules import GRADIENT_RULES
from forgetting.objectives.methods import METHODS, build_method
from forgetting.recipe.described import default_rate, page
from forgetting.recipe.on_the_lab import of_method, of_rule, of_transform, read_arms

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, TABLE = DOCS / "methods.md", DOCS / "lab-methods.csv"


def test_the_page_is_the_generated_one() -> None:
    made = page(read_arms(TABLE))
    command = "python -m forgetting.recipe.described docs/lab-methods.csv > docs/methods.md"
    assert made == PAGE.read_text(encoding="utf-8"), f"run: {command}"


def test_every_unlearning_method_and_every_rule_has_figures_of_the_lab() -> None:
    arms = read_arms(TABLE)
    methods = {name for name in METHODS.names() if "forget" in build_method(name).roles}
    assert {name for name in methods if not of_method(arms, name)} == set()
    assert {name for name in GRADIENT_RULES.names() if name != "sum" and not of_rule(arms, name)} == set()


def test_an_arm_is_found_by_its_method_its_rule_or_a_transform_in_it(tmp_path: Path) -> None:
    rows = ["npo (3 seeds)", "npo · flat (3 seeds)", "sft → task_vector, negate.transform.alpha 1.5 (3 seeds)", "gd"]
    file = tmp_path / "table.csv"
    file.write_text(
        "table,row,kind,split,measure,value\n"
        + "".join(f'1,"{row}",run,forget,probability,0.{n + 1}\n' for n, row in enumerate(rows))
        + '1,"npo (3 seeds)",run,audit,worst,-0.25\n1,gd,run,retain,probability,\n1,gd,run,audit,verdict,refuted\n',
        encoding="utf-8",
    )
    arms = read_arms(file)
    assert of_method(arms, "npo") == "0.10 / — / — / −0.25" and of_method(arms, "gd") == "0.40 / — / — / —"
    assert of_rule(arms, "flat") == "npo: 0.20 / — / — / —" and not of_method(arms, "sft")
    assert of_transform(arms, "task_vector") == "sft → task_vector, negate.transform.alpha 1.5: 0.30 / — / — / —"


def test_of_two_tables_that_do_not_compare_the_first_says_what_an_arm_did(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    lines = ["1,before,before,forget,probability,0.8", "2,before,before,forget,probability,0.1"]
    lines += ["2,before,before,audit,worst,0.5", "2,sft → edit,run,forget,probability,0.3"]
    file.write_text("\n".join(["table,row,kind,split,measure,value", *lines]), encoding="utf-8")
    assert {arm.label: arm.figures() for arm in read_arms(file)} == {
        "before": "0.80 / — / — / —",
        "sft → edit": "0.30 / — / — / —",
    }


def test_whatever_the_package_brings_says_when_to_use_it_and_stands_on_the_page() -> None:
    text = page(read_arms(TABLE))
    for registry in (METHODS, GRADIENT_RULES, TRANSFORMS):
        for entry in registry.entries():
            assert entry.source != "forgetting" or (entry.settings["when"] and f"| `{entry.name}` |" in text)
    assert default_rate() in text


def test_no_method_takes_more_than_80_lines() -> None:
    files = {
        entry.name: Path(inspect.getfile(entry.build)) for entry in METHODS.entries() if entry.source == "forgetting"
    }
    assert {name for name, file in files.items() if len(file.read_text(encoding="utf-8").splitlines()) > 80} == set()
    assert len(files) > 20
