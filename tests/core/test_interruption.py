"""A signal ends a command where it is, but not in the middle of what is done whole."""

import signal

import pytest

from forgetting.core.interruption import SIGNALS, Interrupted, listening, whole_if_alone


def test_a_signal_ends_the_command_with_its_number() -> None:
    for number in SIGNALS:
        with pytest.raises(Interrupted) as ended, listening():
            signal.raise_signal(number)
        assert ended.value.exit_code == 128 + number
        assert str(ended.value).startswith(f"interrupted by {signal.Signals(number).name}; run the same command")


def test_no_handler_of_an_exception_stops_it() -> None:
    with pytest.raises(Interrupted), listening():
        try:
            signal.raise_signal(signal.SIGTERM)
        except (Exception, KeyboardInterrupt):
            pytest.fail("caught")


def test_what_is_begun_is_finished_first() -> None:
    done = []
    with pytest.raises(Interrupted), listening(), whole_if_alone() as asked_to_end:
        assert not asked_to_end()
        signal.raise_signal(signal.SIGTERM)
        done.append(asked_to_end())
    assert done == [True]
    with listening(), whole_if_alone() as asked_to_end:
        assert not asked_to_end()


def test_asked_twice_it_ends_at_once() -> None:
    done = []
    with pytest.raises(Interrupted), listening(), whole_if_alone():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        done.append("the rest")
    assert done == []
    with listening(), whole_if_alone() as asked_to_end:
        assert not asked_to_end()


def test_an_ignored_signal_stays_ignored_and_handlers_come_back() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with listening():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
