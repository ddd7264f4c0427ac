"""The area of a core by block, as `mixpe ppa` measures it: what `mixpe synth` finds, per MAC."""

import pytest

from mixpe.ppa.designs import CoreDesign, Design, job, own
from mixpe.ppa.measure import measure
from mixpe.ppa.record import CoreRecord, from_values, to_values
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from verif.libraries.few import DFF, LIBRARY

ARRAY = Config(rows=1, cols=2, weight_bits=2, act_bits=4, group=4)


def test_what_is_measured_of_a_core():
    core = CoreConfig(name="mine", array=ARRAY, bus="stream")
    element, array, whole = own(core)
    assert isinstance(element, Design)
    assert isinstance(array, Design)
    assert isinstance(whole, CoreDesign)
    assert (element.kind, array.kind, whole.kind) == ("pe", "array", "core")
    assert element.config.weight_bits == array.config.weight_bits == 2
    assert len({design.name for design in (element, array, whole)}) == 3


def test_blocks(tmp_path):
    """Areas are of one instance, those per MAC of all: two dequantizers for two MACs a cycle."""
    (tmp_path / "few.lib").write_text(LIBRARY)
    whole = own(CoreConfig(name="mine", array=ARRAY, bus="stream"))[-1]
    (record,) = measure(job(whole, "few", [tmp_path / "few.lib"], None))
    assert isinstance(record, CoreRecord)
    assert from_values(to_values(record), "x") == record
    blocks = {block.block: block for block in record.blocks}
    assert blocks["dequantizer"].instances == blocks["PE"].instances == 2
    for name in ("PE", "dequantizer"):
        assert blocks[name].area_per_mac_um2 == pytest.approx(blocks[name].area_um2, rel=1e-5)
    whole_area = blocks["core"].area_um2
    assert blocks["core"].area_per_mac_um2 == pytest.approx(whole_area / 2, rel=1e-5)
    assert whole_area > blocks["engine"].area_um2 > 2 * blocks["dequantizer"].area_um2
    # Two beats of 32 bits, and three bits of state (test_synth_command).
    assert blocks["receiver of scales"].area_um2 >= (2 * 32 + 3) * DFF
    assert {block.memory_bits for block in record.blocks} == {0}
