"""The essentials that `make quick` runs: every room and every scheme once, in 90 s on two cores.

A name is the beginning of a test's own, below verif/tests: a file, a function, or a case of it. Choose the
smallest test that would notice if the room were broken.
"""

QUICK: dict[str, tuple[str, ...]] = {
    "spec": (
        "test_config.py",
        "test_core_config.py",
        "test_config_properties.py",
        "test_formats.py",
        "test_widths.py",
        "test_register_map.py",
    ),
    "hw": (
        "test_equivalence.py::test_lanes",
        "test_fp.py::test_units_match_numpy[icarus]",
        "test_fp_mac.py::test_words_in_software",
        "test_matmul.py::test_matmul[3x5, unsigned only-icarus]",
        "test_matmul.py::test_matmul[2x3, E4M3 exact, zero points-icarus]",
        "test_matmul.py::test_matmul[2x2, E5M2 as it is, unsigned only-verilator]",
        "test_heap.py::test_digits_reach_the_floor",
        "test_recode.py",
    ),
    "quant": (
        "test_golden.py",
        "test_mpgemm.py::test_refusals",
        "test_operands.py",
        "test_packing.py",
        "test_packing_properties.py",
        "test_packed.py",
        "test_quantize.py",
    ),
    "models": ("test_llama.py::test_logits[one_head]",),
    "gen": ("test_configurations.py", "test_verilog.py::test_form[1x1]", "test_manifest.py::test_ports"),
    "driver": ("test_driver.py::test_matmul_is_the_golden_models",),
    "sim": ("test_sim_core.py::test_products[quick]", "test_runner.py::test_passing_test"),
    "synth": ("test_liberty.py", "test_timing.py"),
    "ppa": ("test_ppa_report.py",),
    "llm": ("test_llm.py::test_a_wrong_bit_is_seen",),
    "bench": ("test_speed.py::test_command",),
    "support": ("test_data.py",),
    "cli": ("test_cli.py::test_default", "test_cli.py::test_bad_input", "test_cli.py::test_version"),
    "verif": ("test_layers.py::test_the_sources", "test_quick.py", "test_absent_data.py"),
}
"""By the room they stand for; `verif` itself is the last one."""


def is_quick(test: str) -> bool:
    """Whether a test, by its pytest name, is one of the essentials."""
    name = test.removeprefix("verif/tests/")
    return any(name.startswith(begin) for room in QUICK.values() for begin in room)
