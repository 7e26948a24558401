"""An objective is a weighted sum of terms with one denominator for the whole step."""

from __future__ import annotations

import pytest
import torch

from forgetting.core.errors import RecipeError
from forgetting.core.signals import Signals
from forgetting.objectives.losses import Loss, dpo, ihl, kl_to_reference, nll, npo
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import linear
from forgetting.objectives.statistics import KL_TO_REFERENCE, LOGP, RUNNER_UP
from tests.objectives import oracle
from tests.objectives.making import Table, batch_of, loss_of, relative, signals_of, table, with_gradient


def part(t: Table, sequences: list[int]) -> Table:
    """Some of the sequences of a table, as a micro-batch has them."""
    keep = [n for n, s in enumerate(t.sequences) if s in sequences]
    index = torch.tensor(keep)
    return Table(
        t.logits_NV[index],
        t.reference_NV[index],
        t.targets_N[index],
        [t.weights[n] for n in keep],
        [sequences.index(t.sequences[n]) for n in keep],
    )


def test_terms_of_two_roles_are_added_with_their_weights() -> None:
    forget, retain = table(seed=1), table(seed=2, lengths=(3, 3))
    objective = Objective(Term("forget", nll, weight=-0.5), Term("retain", nll, weight=2.0))
    mine = {"forget": with_gradient(forget), "retain": with_gradient(retain)}
    plain = {"forget": with_gradient(forget), "retain": with_gradient(retain)}
    means = {r: -oracle.statistic("logp", t.logits_NV, t.targets_N).mean() for r, t in plain.items()}
    expected = -0.5 * means["forget"] + 2 * means["retain"]
    expected.backward()
    actual = loss_of(objective, mine)
    actual.backward()
    assert actual.item() == pytest.approx(expected.item(), rel=1e-12)
    for role in mine:
        assert relative(mine[role].logits_NV.grad, plain[role].logits_NV.grad) <= 1e-12  # type: ignore[arg-type]


@pytest.mark.parametrize("parts", [[[0, 1, 2, 3]], [[0, 1], [2, 3]], [[3], [0], [2], [1]]])
@pytest.mark.parametrize(
    "term",
    [
        Term("train", nll),
        Term("train", nll, average="sequence"),
        Term("train", nll, average="sequence_sum", sign="negative"),
        Term("train", npo(0.1), average="sequence"),
    ],
    ids=["token", "sequence", "negative sums", "npo"],
)
def test_pieces_of_a_step_add_up_to_the_step(term: Term, parts: list[list[int]]) -> None:
    t, objective = table(signed=term.loss.name == "nll"), Objective(term)
    whole = loss_of(objective, {"train": t})
    pieces = [{"train": part(t, members)} for members in parts]
    denominators = objective.denominators([batch_of(p) for p in pieces])
    assert denominators == pytest.approx(objective.denominators([batch_of({"train": t})]))
    sums = [
        objective.loss("train", signals_of(objective, "train", p["train"]), weights=(1.0,), denominators=denominators)
        for p in pieces
    ]
    torch.testing.assert_close(torch.stack([s for s, _ in sums]).sum(), whole, rtol=1e-6, atol=0)
    assert sum(shares[0].item() for _, shares in sums) == pytest.approx(whole.item(), rel=1e-6)


def test_denominators_by_hand() -> None:
    weights, sequences = [1.0, -2.0, 0.5, -0.25, -0.25], [0, 0, 1, 2, 2]
    zeros = torch.zeros(5, 3)
    batch = batch_of({"train": Table(zeros, zeros, torch.zeros(5, dtype=torch.long), weights, sequences)})
    counted = {
        (average, sign): Term("train", nll, average=average, sign=sign).denominator([batch, batch])  # type: ignore[arg-type]
        for average in ("token", "sequence", "sequence_sum")
        for sign in ("positive", "negative")
    }
    assert counted == {
        ("token", "positive"): 3.0,
        ("token", "negative"): 5.0,
        ("sequence", "positive"): 4.0,
        ("sequence", "negative"): 4.0,
        ("sequence_sum", "positive"): 4.0,
        ("sequence_sum", "negative"): 4.0,
    }
    assert Term("retain", nll).denominator([batch]) == 0.0


@pytest.mark.parametrize("average", ["token", "sequence", "sequence_sum"])
def test_a_sign_that_no_token_has_contributes_nothing(average: str) -> None:
    t = with_gradient(table())
    objective = Objective(
        Term("train", nll, average=average),  # type: ignore[arg-type]
        Term("train", nll, weight=-3.0, average=average, sign="negative", name="forgotten"),  # type: ignore[arg-type]
    )
    loss = loss_of(objective, {"train": t})
    alone = loss_of(Objective(objective.terms[0]), {"train": t})
    assert loss.item() == alone.item()


def test_positive_and_negative_tokens_are_averaged_apart() -> None:
    t = table(signed=True)
    objective = Objective(Term("train", nll), Term("train", nll, weight=-0.3, sign="negative", name="forgotten"))
    values = oracle.token_values("nll", t.logits_NV, t.targets_N, t.reference_NV)
    up, down = (oracle.averaged(values, t.weights, t.sequences, "token", sign) for sign in (1, -1))
    assert loss_of(objective, {"train": t}).item() == pytest.approx((up - 0.3 * down).item(), rel=1e-6)


def test_a_term_of_weight_zero_is_logged_and_not_trained_on() -> None:
    t = with_gradient(table())
    objective = Objective(Term("train", nll, weight=linear(0.0, 1.0)))
    loss, shares = objective.loss(
        "train", signals_of(objective, "train", t), weights=objective.weights(0, 5), denominators=(14.0,)
    )
    assert not loss.requires_grad and loss.item() == 0 and shares[0].item() > 0
    assert objective.weights(4, 5) == (1.0,)


def test_an_unused_infinite_loss_does_no_harm_at_weight_zero() -> None:
    signals = Signals({"logp": torch.tensor([-torch.inf])}, torch.ones(1), torch.zeros(1, dtype=torch.long), 1)
    loss, _ = Objective(Term("train", nll, weight=0.0)).loss("train", signals, weights=(0.0,), denominators=(1.0,))
    assert loss.item() == 0


def test_what_an_objective_needs_is_asked_once() -> None:
    objective = Objective(
        Term("forget", ihl), Term("forget", nll, weight=0.1, name="more"), Term("retain", kl_to_reference)
    )
    assert objective.roles == ("forget", "retain")
    assert objective.needs("forget") == (LOGP, RUNNER_UP) and objective.needs("retain") == (KL_TO_REFERENCE,)
    assert objective.compares("retain") and not objective.compares("forget") and objective.needs_reference
    assert not objective.in_whole_sequences("forget")
    with_npo = Objective(Term("forget", npo(1.0), average="sequence"))
    assert with_npo.of_reference("forget") == (LOGP,) and with_npo.in_whole_sequences("forget")
    assert [t.label for t in objective.terms] == ["forget", "more", "retain"]


def test_a_sequence_loss_is_divided_by_the_weights_of_its_sequences() -> None:
    zeros = torch.zeros(5, 3)
    weights, sequences = [3.0, -2.0, 0.5, -0.25, -0.75], [0, 0, 1, 2, 2]
    batch = batch_of({"train": Table(zeros, zeros, torch.zeros(5, dtype=torch.long), weights, sequences)})
    assert Term("train", npo(1.0), average="sequence").denominator([batch, batch]) == 7.0
    assert Term("train", npo(1.0), average="sequence", sign="negative").denominator([batch]) == 2.5


def test_what_is_asked_of_one_half_of_a_pair_is_asked_of_the_other() -> None:
    pairs = Term("forget", dpo(0.1), average="sequence", partner="alternate")
    objective = Objective(Term("retain", nll), Term("alternate", kl_to_reference, name="near"), pairs)
    assert objective.groups == (("retain",), ("forget", "alternate"))
    assert objective.roles == ("retain", "forget", "alternate") and objective.partners == {"forget": "alternate"}
    for role in ("forget", "alternate"):
        assert set(objective.needs(role)) == {LOGP, KL_TO_REFERENCE} and objective.of_reference(role) == (LOGP,)
        assert objective.compares(role) and objective.in_whole_sequences(role)
    assert objective.of_role("alternate") == [1] and not objective.in_whole_sequences("retain")


def test_pairs_that_make_no_sense_are_refused() -> None:
    def term(role: str, partner: str | None) -> Term:
        return Term(role, dpo(0.1), average="sequence", partner=partner)

    for partner in (None, "forget"):
        with pytest.raises(RecipeError, match="term 'forget': the loss 'dpo' compares pairs; write partner="):
            term("forget", partner)
    for others in (("forget", "holdout"), ("retain", "alternate"), ("alternate", "retain")):
        with pytest.raises(RecipeError, match="is paired twice"):
            Objective(term("forget", "alternate"), term(*others))
    assert Objective(term("forget", "alternate"), term("forget", "alternate")).roles == ("forget", "alternate")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs at least one term"):
        Objective()
    with pytest.raises(RecipeError, match="term 'forget': the loss 'npo' is averaged over sequences"):
        Term("forget", npo(0.1))
    with pytest.raises(RecipeError, match="term 'forget': unknown average 'sequnce'; did you mean 'sequence'"):
        Term("forget", nll, average="sequnce")  # type: ignore[arg-type]


def test_a_loss_that_sums_by_itself_is_refused() -> None:
    summed = Loss("mine", lambda s: s.logp.sum())
    with pytest.raises(RecipeError, match=r"'mine' gives the shape \[\]; it must give one value for each token"):
        loss_of(Objective(Term("forget", summed)), {"forget": table()})
