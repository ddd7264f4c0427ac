"""What becomes of mutants, and the table of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from verif.harness.mutation import Mutant

FATES = ("killed", "equal", "unseen", "alive")

Reason = Callable[[Mutant], str | None]
"""Tells why a mutant that is neither killed nor proved equal may live; None if nothing is known."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Parameters
    ----------
    fate: "killed" by what ships; "equal", the module that has it; "unseen", equal in a module around or in
        the whole design, but not by itself; or "alive", nothing of these.
    why: what killed it, or the module of the proof.
    """

    mutant: Mutant
    fate: str
    why: str = ""


def listed(mutant: Mutant, entries: Sequence[tuple[str, str]]) -> str | None:
    """Returns what stands behind the first regular expression that the mutant's key matches, or None."""
    return next((why for pattern, why in entries if re.search(pattern, mutant.key)), None)


def unknown(verdicts: Sequence[Verdict], reason: Reason) -> list[str]:
    """Returns the keys of those that live without a reason."""
    living = (each.mutant for each in verdicts if each.fate == "alive")
    return [mutant.key for mutant in living if reason(mutant) is None]


def table(verdicts: Sequence[Verdict], reason: Reason) -> str:
    """Returns the figures of each module, and then of all, as lines of text."""
    lines = [f"{'module':32} {'made':>5} " + " ".join(f"{fate:>6}" for fate in (*FATES, "listed"))]
    for module in [*sorted({each.mutant.module for each in verdicts}), ""]:
        group = [each for each in verdicts if module in ("", each.mutant.module)]
        alive = len(unknown(group, reason))
        counts = {fate: sum(each.fate == fate for each in group) for fate in FATES}
        counts |= {"alive": alive, "listed": counts["alive"] - alive}
        lines.append(f"{module or 'all':32} {len(group):5} " + " ".join(f"{n:6}" for n in counts.values()))
    return "\n".join(lines)
