"""The fuzz of the command line: no traceback, no hang, one line for a refusal; and that it sees faults."""

import pytest

from verif.harness.fuzz import Outcome, runner
from verif.harness.fuzz_cases import KINDS, Case

EACH = {"command": 16, "toml": 8, "liberty": 3, "report": 6, "model": 8}
NIGHTLY = {"command": 400, "toml": 200, "liberty": 100, "report": 150, "model": 250}


def check(seed: int, counts: dict[str, int], apart: int) -> None:
    """Runs so many cases of each kind; every `apart`-th in a Python of its own."""
    found = []
    with runner() as run:
        for kind, count in counts.items():
            for number in range(count):
                case = KINDS[kind](seed, number)
                outcome = run.run(case, apart=number % apart == apart - 1)
                if outcome.faults:
                    found.append((kind, seed, number, case.arguments, outcome.faults, outcome.stderr[-2000:]))
    assert not found


def test_some_cases():
    check(0, EACH, apart=20)


@pytest.mark.nightly
def test_many_cases():
    check(1, NIGHTLY, apart=25)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Outcome(1, "", "mixpe: error: x\n", (), ()), "exit status 1"),
        (Outcome("hang", "", "", (), ()), "exit status hang"),
        (Outcome(-11, "", "", (), ()), "exit status -11"),
        (Outcome(0, "", "x.py:3: RuntimeWarning: overflow\n", (), ()), "prints 'Warning'"),
        (Outcome(2, "", "mixpe: error: x\nmore\n", (), ()), "2 lines on the standard error, not one"),
        (Outcome(2, "a table", "mixpe: error: x\n", (), ()), "refuses, and prints on the standard output"),
        (Outcome(0, "", "", (".mixpe-x",), ()), "leaves .mixpe-x"),
        (Outcome(0, "", "", (), ("out.json",)), "out.json is no JSON"),
    ],
)
def test_faults_are_seen(outcome, fault):
    assert outcome.faults == [fault]


def test_good_runs_have_no_fault():
    with runner() as run:
        listed = run.run(Case((b"configs",)))
        refused = run.run(Case((b"verilog", b"none.toml")))
    assert (listed.status, refused.status, listed.faults + refused.faults) == (0, 2, [])
    assert "none.toml" in refused.stderr
