"""An analysis: how many tokens of the right answers are the model's first choice, before and after."""

from forgetting.analysis import Analysis, Compared, Findings, register_analysis
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.evaluation.token_columns import token_columns
from forgetting.models.view import View
from forgetting.objectives.statistics import RANK


@register_analysis("first_choices")
def first_choices() -> Analysis:
    """Share of answer tokens that are the first choice, at the start and after."""

    def share(compared: Compared, view: View, role: str) -> tuple[float, int]:
        with view.active() as model:
            columns = token_columns(
                model, compared.tokenizer, compared.examples[role], (RANK,), formatting=compared.formatting
            )
        ranks = [rank for answer in columns for rank in answer[RANK.name]]
        return sum(rank == 0 for rank in ranks) / len(ranks), len(ranks)

    def analysis(compared: Compared) -> Findings:
        measures, series = [], []
        for role in compared.examples:
            (start, count), (after, _) = (share(compared, view, role) for view in (compared.start, compared.after))
            measures.append(Measure(name="lost_first_choices", split=role, value=start - after, count=count))
            labels = {"x_label": "model", "y_label": "share of tokens"}
            series.append(Series(figure="first choices", name=role, x=("start", "after"), y=(start, after), **labels))
        return Findings(measures=tuple(measures), series=tuple(series))

    return analysis
