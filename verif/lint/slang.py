"""Runs slang on Verilog: `python -m verif.lint.slang OPTION... FILE...`; exit status 0 without errors."""

import shlex
import sys

from pyslang.driver import Driver  # pyright: ignore[reportMissingModuleSource]


def main() -> int:
    """Elaborates the files with the command line's options, printing what slang says of them."""
    driver = Driver()
    driver.addStandardArgs()
    steps = (
        lambda: driver.parseCommandLine(shlex.join(["slang", *sys.argv[1:]])),
        driver.processOptions,
        driver.parseAllSources,
        driver.runFullCompilation,
    )
    return 0 if all(step() for step in steps) else 1


if __name__ == "__main__":
    sys.exit(main())
