"""Numbers and names as a reader wants them: three significant digits, powers of ten, intervals, units."""

from __future__ import annotations

import json
import math
from datetime import datetime

from forgetting.core.measure import Measure
from forgetting.metrics.forget_quality import names_p_value

ABSENT = "—"
ARROWS = {"up": "↑", "down": "↓", "oracle": "→ oracle", "none": ""}
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_p_value(measure: Measure) -> bool:
    """Whether the value is the p-value of a test: read on a scale of powers of ten, and never alone."""
    return names_p_value(measure.name)


def number(value: float | None) -> str:
    """Three significant digits; powers of ten outside 0.001 … 99 999: `0.0704`, `12.3`, `2.1·10⁻⁵`."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if size == 0:
        return "0"
    if 1e-3 <= size < 99_999.5:
        digits = max(0, 2 - math.floor(math.log10(float(f"{size:.2e}"))))
        return _minus(f"{value:,.{digits}f}".replace(",", "\u202f"))
    mantissa, power = f"{value:.1e}".split("e")
    return _minus(mantissa.removesuffix(".0")) + "·10" + str(int(power)).translate(SUPERSCRIPT)


def share(value: float) -> str:
    """A value between 0 and 1 with three decimals, so that columns line up; `<0.001` where that would hide it."""
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def amount_text(value: float) -> str:
    """`share` between 0 and 1, `number` elsewhere."""
    return share(value) if 0 <= value <= 1 else number(value)


def value_text(measure: Measure | None) -> str:
    """The value of a measure, or a dash; with as many digits as its interval where fewer would lie outside of it."""
    if measure is None or measure.value is None:
        return ABSENT
    text = _on_scale(measure, measure.value)
    return _finely(measure, measure.value) if _is_fine(measure) and not text.startswith("<") else text


def interval_text(measure: Measure | None) -> str:
    """The 95% interval, `0.812–0.934`; empty where there is none."""
    if measure is None or measure.value is None or measure.low is None or measure.high is None:
        return ""
    fine = _is_fine(measure)
    return "–".join(_finely(measure, end) if fine else _on_scale(measure, end) for end in (measure.low, measure.high))


def with_interval(measure: Measure) -> str:
    """Value and interval in running text: `0.890 (0.850–0.930)`."""
    interval = interval_text(measure)
    return value_text(measure) + (f" ({interval})" if interval else "")


def title(measure: Measure) -> str:
    """`forget · exact match`; the split is left out where the name says it already."""
    name = plain(measure.name)
    split = plain(measure.split).removesuffix("-all")
    return name if not split or split in name.split() or split in {"suite", "all"} else f"{split} · {name}"


def heading(measure: Measure) -> str:
    """`title` with the direction that is better: `forget · exact match ↓`."""
    return f"{title(measure)} {ARROWS[measure.direction]}".strip()


def plain(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")


def seconds(value: float | None) -> str:
    """`8.6 s`, `2 min 11 s`, `3 h 05 min`."""
    if value is None:
        return ABSENT
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def flops(value: float | None) -> str:
    """Floating-point operations with their prefix: `3.20 PFLOP`."""
    if value is None:
        return ABSENT
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(value) < 999.5:
            return f"{number(value)} {prefix}FLOP"
        value /= 1000
    return f"{number(value)} EFLOP"


def size(value: float | None) -> str:
    """Bytes in binary units: `412 MiB`."""
    if value is None:
        return ABSENT
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def count(value: float | None) -> str:
    """A whole number with thin spaces: `3 280 000`."""
    return ABSENT if value is None else f"{value:,.0f}".replace(",", "\u202f")


def moment(text: str) -> str:
    """An ISO time to the minute, `2026-11-21 09:30 UTC`; any other text as it is."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return text


def one_line(value: object) -> str:
    """A value of a recipe, data set or environment."""
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def shortened(text: str, most: int) -> str:
    """At most so many letters; the last is `…` where the text was longer."""
    return text if len(text) <= most else text[: most - 1] + "…"


def join(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _is_fine(measure: Measure) -> bool:
    """Whether three decimals would print both ends of the interval alike, though they differ."""
    if measure.low is None or measure.high is None:
        return False
    return measure.low < measure.high and _on_scale(measure, measure.low) == _on_scale(measure, measure.high)


def _finely(measure: Measure, value: float) -> str:
    """A value, or an end, of a measure whose interval needs more than three decimals: as many digits as tell them."""
    low, high = measure.low or 0.0, measure.high or 0.0
    if number(low) != number(high):
        return number(value)
    return _minus(f"{value:.{next((d for d in range(4, 17) if f'{low:.{d}g}' != f'{high:.{d}g}'), 17)}g}")


def _on_scale(measure: Measure, value: float) -> str:
    in_unit = measure.value is not None and 0 <= measure.value <= 1 and 0 <= value <= 1
    return share(value) if in_unit and not is_p_value(measure) else number(value)


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")
