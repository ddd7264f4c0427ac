"""How columns share dequantizers, elements their operand registers, and columns are cut."""

from typing import Any

import pytest

from mixpe.spec.array import Config
from mixpe.spec.errors import UserError


def refusal(**values: Any) -> str:
    with pytest.raises(UserError) as error:
        Config(**values)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_share():
    """What is asked for, or the most columns for whose sums a usual group has the time."""
    assert Config(cols=6, share=3).bank_cols == 3
    assert [Config(share=share).bank_cols for share in (1, 2, 16)] == [1, 2, 16]
    for rows, cols, lanes, group, expected in (
        (16, 16, 1, 128, 8),
        (16, 16, 1, 2**24 - 1, 8),  # K may be far shorter than the group
        (16, 16, 4, 128, 2),
        (8, 8, 4, 128, 4),
        (16, 12, 1, 128, 6),
        (16, 7, 1, 128, 7),
        (16, 11, 1, 128, 1),
        (1, 128, 1, 128, 16),
        (2, 2, 1, 6, 1),  # the loop of the running sums takes a cycle more for a bank
        (128, 128, 1, 128, 1),
    ):
        config = Config(rows=rows, cols=cols, lanes=lanes, group=group)
        assert config.bank_cols == expected, config
        assert config.group_gap <= max(config.group_beats, config.rows)
    for value in (-1, 129, 10**30):
        assert refusal(share=value) == f"share must be 0 or 1 to 128, not {value}"
    assert refusal(share=5) == "share must divide cols, which are 16, not 5; the nearest is 4"
    assert refusal(cols=12, share=128) == "share must divide cols, which are 12, not 128; the nearest is 12"


def test_cluster():
    """Sums of two rows come at once, so that a bank must hold them."""
    for rows, cols, lanes, group, expected in (
        (8, 8, 4, 128, 4),
        (16, 16, 4, 128, 2),
        (16, 16, 4, 32, 2),
        (2, 2, 1, 1, 2),
    ):
        config = Config(rows=rows, cols=cols, lanes=lanes, group=group, cluster=2)
        assert (config.bank_cols, config.segments) == (expected, 1)
    for value in (0, 3, -1, 10**30):
        assert refusal(cluster=value) == f"cluster must be one of 1, 2, not {value}"
    assert refusal(cluster=2, rows=5) == "rows must be a multiple of cluster, which is 2, not 5"
    assert refusal(cluster=2, cols=5) == "cols must be a multiple of cluster, which is 2, not 5"
    assert refusal(cluster=2, share=1) == (
        "share must be 0 or at least 2 for cluster 2, not 1: sums of two rows come at once"
    )


def test_segments():
    """A column is cut where its drain would hold up groups."""
    for rows, lanes, group, expected in (
        (16, 4, 32, 2),
        (16, 8, 32, 4),
        (16, 1, 32, 1),
        (17, 4, 32, 1),
        (64, 4, 32, 8),
    ):
        config = Config(rows=rows, cols=16, lanes=lanes, group=group)
        assert (config.segments, config.bank_cols) == (expected, 1 if expected > 1 or rows == 17 else 2), (
            config
        )
    # 16 rows and 4 lanes keep their elements at work in groups of 128, and of 32.
    for group, least in ((128, 0.99), (32, 0.9)):
        config = Config(rows=16, cols=16, lanes=4, group=group)
        assert 256 * 1024 / config.run_cycles(4096, 256) >= least
