"""What a voice says is plain text, whoever hears it; without a listener it is silent."""

import pytest

from forgetting.core.progress import SILENT, Voice


def test_a_voice_says_plain_text_only() -> None:
    lines: list[str] = []
    voice = Voice(say=lines.append, progress=lambda done, total, note: lines.append(f"{done}/{total} {note}"))
    voice.say("\x1b[2J")
    voice.progress(1, 2, "\x1b[2J")
    assert lines == ["\\u001b[2J", "1/2 \\u001b[2J"]


def test_a_voice_over_a_voice_says_the_same() -> None:
    lines: list[str] = []
    Voice(Voice(lines.append).say).say("a\x07\\b")
    assert lines == ["a\\u0007\\b"]


def test_without_a_listener_nothing_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    SILENT.say("a line")
    SILENT.progress(1, 2, "a note")
    assert tuple(capfd.readouterr()) == ("", "")
