"""The import law: each row is broken once and found."""

from pathlib import Path

import pytest

from mixpe.verif.imports import violations


def tree(root: Path, files: dict[str, str]) -> Path:
    """A source tree of the rooms' modules named below, with `files` on top."""
    rooms = ["hw/formats.py", "hw/config.py", "hw/errors.py", "hw/top.py", "quant/golden.py", "gen/write.py"]
    for name, text in (dict.fromkeys(rooms, "") | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hw/formats.py", "import numpy", "mixpe.hw.formats must not import numpy"),
        ("hw/config.py", "from amaranth.hdl import unsigned", "mixpe.hw.config must not import amaranth.hdl"),
        ("hw/config.py", "from .top import Top", "mixpe.hw.config must not import mixpe.hw.top"),
        ("hw/layout.py", "from .top import Top", "mixpe.hw.layout must not import mixpe.hw.top"),
        ("driver/queue.py", "from ..hw.top import Top", "mixpe.driver.queue must not import mixpe.hw.top"),
        ("driver/queue.py", "from ..sim.fast import A", "mixpe.driver.queue must not import mixpe.sim.fast"),
        (
            "sim/build.py",
            "from ..verif.runner import f",
            "mixpe.sim.build must not import mixpe.verif.runner",
        ),
        ("hw/errors.py", "from .config import Config", "mixpe.hw.errors must not import mixpe.hw.config"),
        ("hw/top.py", "import numpy as np", "mixpe.hw.top must not import numpy"),
        ("hw/fp/add.py", "from ...quant import golden", "mixpe.hw.fp.add must not import mixpe.quant.golden"),
        ("hw/top.py", "from __future__ import annotations", "__future__ turns annotations"),
        ("quant/golden.py", "from ..hw.top import Top", "mixpe.quant.golden must not import mixpe.hw.top"),
        ("quant/golden.py", "from ..hw import top", "mixpe.quant.golden must not import mixpe.hw.top"),
        ("quant/golden.py", "def f():\n    import amaranth", "mixpe.quant.golden must not import amaranth"),
        ("gen/write.py", "from ..verif import runner", "mixpe.gen.write must not import mixpe.verif"),
        ("gen/write.py", "from ..cli.main import main", "mixpe.gen.write must not import mixpe.cli.main"),
        ("synth/yosys.py", "from ..hw.top import Top", "mixpe.synth.yosys must not import mixpe.hw.top"),
        ("synth/yosys.py", "from ..gen.write import f", "mixpe.synth.yosys must not import mixpe.gen.write"),
        ("cli/main.py", "from mixpe.hw.top import Top", "mixpe.hw.top must be relative inside the package"),
        ("verif/tests/test_a.py", "from ..runner import f", "mixpe.verif.runner must be absolute in a test"),
    ],
)
def test_violation(tmp_path, name, text, message):
    (found,) = violations(tree(tmp_path, {name: text}))
    assert found.startswith(f"{name}:")
    assert message in found


def test_lawful(tmp_path):
    files = {
        "hw/config.py": "import re\nfrom .errors import UserError\nfrom .formats import FP16",
        "hw/top.py": "from amaranth.hdl import Module\nfrom .config import Config",
        "quant/golden.py": "import numpy as np\nfrom ..hw.config import Config\nfrom ..hw import formats",
        "gen/write.py": "import json\nfrom ..hw.top import Top\nfrom ..quant.golden import mpgemm",
        "synth/yosys.py": "from pyosys import libyosys\nfrom ..gen.files import write_file",
        "verif/demo.py": "import cocotb\nfrom ..gen.write import write_design",
        "verif/tests/test_a.py": "import numpy\nfrom mixpe.hw.top import Top",
    }
    assert list(violations(tree(tmp_path, files))) == []
