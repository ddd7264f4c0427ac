"""Mutants of a Verilog design, many in one netlist, and proofs that a mutant computes the same.

A mutant is one fault that Yosys `mutate` makes: a bit of a port of one cell inverted, stuck, or tied to
another bit. All mutants of a design stand in one netlist, and the plusarg `+mutant=<number>` says which of
them is at work; 0, or no plusarg, is the sound design. So one compilation serves hundreds. The top keeps its
name and its ports: whatever tests the design tests its mutants, unchanged.

Proofs are ABC's. Sound design and mutant come from the same netlist, with the number made a constant, so that
all in which they agree is shared. Faults of a clock are outside what ABC models, and are never proved.
"""

import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pyosys

from mixpe.support.programs import run_program
from mixpe.synth.yosys import run_yosys

CONTROL = "mutant"
"""The name of the plusarg, and of the signal in every module that leads to a mutant."""

SETTLING = 4
"""Cycles after power-up in which registers hold whatever they hold: an array takes no operands so early."""

_ABC = Path(pyosys.__file__).parent / "yosys-abc"
_READ = "read_verilog {file}\nhierarchy -check -top {top}\nproc\nmemory_collect\nopt_clean\n"
_LIST = "mutate -list {count} -seed {seed} -ctrl {control} {width} {first} -o {file} {modules}\n"
_GATES = """\
hierarchy -top {scope}
flatten
memory_map
opt_clean
techmap
clean
write_blif {file}
"""
_OPTION = re.compile(r" -(mode|module|cell|port|portbit|ctrlbit|wire|wirebit|src) (\S+)")
_CLOCKS = ("CLK", "WR_CLK", "RD_CLK", "clk")
_PAYLOAD = re.compile(
    r"(?P<stream>.+)__payload|(?P<channel>m_axi_(?:aw|ar|w|b|r)|s_axil_(?:aw|ar|w|b|r))[a-z]+"
)
_EQUAL = "Networks are equivalent"
# By reachability; by `sat`, where sweeping has left nothing that is clocked.
_PROVED = re.compile(r"^(?:Property proved|UNSATISFIABLE)", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    number: the value of the plusarg that puts it to work, from 1 up.
    command: the `mutate` command that makes it of the sound design.
    """

    number: int
    command: str

    @cached_property
    def _options(self) -> dict[str, str]:
        return dict(_OPTION.findall(self.command))

    @property
    def module(self) -> str:
        """The module that has the fault."""
        return self._options["module"]

    @property
    def place(self) -> str:
        """Where it is: the cell's port and bit and, if it has a name, the wire there."""
        get = self._options.get
        cell = re.sub(r"\$[^$:]*\.v:\d+\S*?(?=\$)", "", get("cell", ""))  # without file and line
        wire = f" ({get('wire')}[{get('wirebit')}])" if get("wire") else ""
        return f"{cell}.{get('port')}[{get('portbit')}]{wire}"

    @property
    def key(self) -> str:
        """A name that stays as long as the Verilog does."""
        return (
            f"{self.module} {self.place} {self._options['mode']} {self._options.get('ctrlbit', '')}".strip()
        )

    @property
    def of_clock(self) -> bool:
        """Whether it is a clock that is at fault."""
        return self._options["port"] in _CLOCKS or self._options.get("wire") == "clk"


class Mutated:
    """A design with its mutants.

    Parameters
    ----------
    verilog: the text of the sound design. top: its top module.
    counts: how many mutants of the modules of each Yosys pattern, such as {"x_column*": 100}.
    seed: for `mutate`. folder: for all files; it exists and belongs to this object alone.
    zeroed: whether proofs begin with zero in registers that have no power-up value. Their inputs are any, so
        that a reset may come first.
    """

    def __init__(
        self,
        verilog: str,
        top: str,
        counts: Mapping[str, int],
        seed: int,
        folder: Path,
        *,
        zeroed: bool = False,
    ):
        self.top = top
        self._zeroed = zeroed
        self.folder = folder
        self._width = sum(counts.values()).bit_length()
        (folder / "sound.v").write_text(verilog, encoding="utf-8")
        self.mutants = self._list(counts, seed)
        self._netlists: dict[str, str] = {}

    def _list(self, counts: Mapping[str, int], seed: int) -> list[Mutant]:
        """Chooses mutants, none twice."""
        script, first, files = [self._sound], 1, []
        for index, (modules, count) in enumerate(counts.items()):
            files.append(f"list{index}")
            script.append(
                _LIST.format(
                    count=count,
                    seed=seed,
                    control=CONTROL,
                    width=self._width,
                    first=first,
                    file=files[-1],
                    modules=modules,
                )
            )
            first += count
        run_yosys("".join(script), self.folder, self.folder / "list.log")
        found: dict[str, Mutant] = {}
        text = "".join((self.folder / file).read_text(encoding="utf-8") for file in files)
        for line in filter(None, text.splitlines()):
            _, control, width, number, command = line.removeprefix("mutate ").split(" ", 4)
            assert (control, int(width)) == (CONTROL, self._width), line
            found.setdefault(command, Mutant(int(number), f"mutate {command}"))
        return list(found.values())

    @property
    def _sound(self) -> str:
        """The script that reads the sound design."""
        return _READ.format(file="sound.v", top=self.top)

    @property
    def _faults(self) -> str:
        """The script that puts all mutants into the sound design."""
        control = f"mutate -ctrl {CONTROL} {self._width}"
        faults = [
            mutant.command.replace("mutate", f"{control} {mutant.number}", 1) for mutant in self.mutants
        ]
        return "\n".join([self._sound, *faults, ""])

    def verilog(self) -> str:
        """Returns the netlist of all mutants, which obeys the plusarg; ports are the sound design's."""
        script = f"{self._faults}delete -input {self.top}/w:{CONTROL}\nwrite_verilog -noattr mutated.v\n"
        run_yosys(script, self.folder, self.folder / "mutated.log")
        text = (self.folder / "mutated.v").read_text(encoding="utf-8")
        msb = f"[{self._width - 1}:0] " if self._width > 1 else ""
        start = text.index(f"module {self.top}(")
        wire = f"  wire {msb}{CONTROL};\n"
        chosen = (
            f"  reg {msb}{CONTROL};\n"
            f'  initial if (!$value$plusargs("{CONTROL}=%d", {CONTROL})) {CONTROL} = 0;\n'
        )
        head, found, rest = text[start:].partition(wire)
        assert found, f"no {wire} in {self.top}"
        return text[:start] + head + chosen + rest

    def single(self, mutant: Mutant) -> str:
        """Returns the Verilog of one mutant alone, as a stranger would make it."""
        script = f"{self._sound}{mutant.command}\nwrite_verilog single.v\n"
        run_yosys(script, self.folder, self.folder / "single.log")
        return (self.folder / "single.v").read_text(encoding="utf-8")

    def step_equal(self, mutant: Mutant, scope: str, seconds: int = 20) -> bool:
        """Whether ABC proves, in `seconds`, that from any state and inputs the module `scope` takes the same
        step to the same outputs as without the fault."""
        if mutant.of_clock:
            return False
        self._write(mutant, scope, powered_up=False)
        return _EQUAL in self._abc(f"cec -T {seconds} -C 1000000 sound.blif mutant.blif", 2 * seconds)

    def always_equal(
        self, mutant: Mutant, scope: str, seconds: int = 60, care: Mapping[str, str] | None = None
    ) -> bool:
        """Whether ABC proves, in about `seconds`, that the module `scope` for ever has the outputs of
        the sound one, whatever its inputs.

        Registers begin with their power-up values; those without one begin with any value, the same in both.
        Of streams and of AXI channels a payload counts while it is valid; of modules below the top nothing
        counts in the first `SETTLING` cycles. An output bit that `care` names counts while the signal that it
        gives is high.
        """
        if mutant.of_clock:
            return False
        self._write(mutant, scope, powered_up=True, care=care)
        said = self._abc(
            "miter sound.blif mutant.blif; strash; scleanup; lcorr; scorr -F 1; scorr -F 2; scorr -F 4; "
            f"pdr -T {seconds}; print_status; sat",
            2 * seconds,
        )
        return bool(_PROVED.search(said))

    def _write(
        self, mutant: Mutant, scope: str, *, powered_up: bool, care: Mapping[str, str] | None = None
    ) -> None:
        """Writes the netlists without and with the fault, for ABC."""
        netlist = self._netlist(scope)
        if powered_up:
            netlist = _with_power_up(netlist)
            netlist = _valid_only(netlist) if scope == self.top else _settled(netlist, care or {})
        for name, number in (("sound", 0), ("mutant", mutant.number)):
            (self.folder / f"{name}.blif").write_text(self._fixed(netlist, number), encoding="utf-8")

    def _netlist(self, scope: str) -> str:
        """The gates of a module and all below it, with all mutants."""
        if scope not in self._netlists:
            script = self._faults + _GATES.format(scope=scope, file="gates.blif")
            run_yosys(script, self.folder, self.folder / "gates.log")
            text = (self.folder / "gates.blif").read_text(encoding="utf-8")
            if self._zeroed:
                text = re.sub(r"^(\.latch .*) [23]$", r"\1 0", text, flags=re.MULTILINE)
            self._netlists[scope] = text
        return self._netlists[scope]

    def _fixed(self, netlist: str, number: int) -> str:
        """The netlist with the number of the mutant made a constant."""
        bits = [f"{CONTROL}[{bit}]" if self._width > 1 else CONTROL for bit in range(self._width)]
        lines = netlist.splitlines()
        at = next(index for index, line in enumerate(lines) if line.startswith(".inputs"))
        lines[at] = " ".join(word for word in lines[at].split() if word not in bits)
        constants = [f".names {bit}" + "\n1" * (number >> index & 1) for index, bit in enumerate(bits)]
        lines[at + 2 : at + 2] = constants  # behind .outputs
        return "\n".join([*lines, ""])

    def _abc(self, commands: str, seconds: int) -> str:
        """Returns what ABC says until it has used that much processor time."""
        limited = f'ulimit -t {seconds}; exec "$0" -c "$1"'
        status, said = run_program(["sh", "-c", limited, str(_ABC), commands], self.folder)
        assert status in (0, -signal.SIGXCPU, -signal.SIGKILL), said
        return said


def _with_power_up(netlist: str) -> str:
    """Gives every register without a power-up value one that is an input, the same for all of its name."""
    lines = list(_powered_up(netlist.splitlines()))
    free = [match[1] for line in lines if (match := re.match(r"\.names .* (\S+\$power_up) \S+$", line))]
    lines = [f"{line} {' '.join(free)}" if line.startswith(".inputs") else line for line in lines]
    return "\n".join([*lines, ""])


def _powered_up(lines: list[str]) -> Iterator[str]:
    started = False
    for line in lines:
        words = line.split()
        if words[:1] != [".latch"] or words[-1] in ("0", "1"):
            yield line
            continue
        if not started:
            yield from (".latch running$next running$ 0", ".names running$next", "1")
            started = True
        data, name = words[1:3]
        # Before the first clock the input stands in for the register.
        yield f".latch {data} {name}$held 0"
        yield f".names running$ {name}$held {name}$power_up {name}"
        yield from ("11- 1", "0-1 1")


def _valid_only(netlist: str) -> str:
    """Makes payloads of output streams and of AXI channels all low while they are not valid."""
    lines = netlist.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(".outputs"))
    return _masked(lines, at, _valids(lines[at].split()[1:]))


def _valids(outputs: list[str]) -> dict[str, str]:
    """Returns, for the bits of payloads among outputs, which output says that they are valid."""
    valids = {}
    for name in outputs:
        if found := _PAYLOAD.match(name):
            valid = f"{found['stream']}__valid" if found["stream"] else f"{found['channel']}valid"
            if valid in outputs and name != valid:
                valids[name] = valid
    return valids


def _settled(netlist: str, care: Mapping[str, str]) -> str:
    """Makes outputs low in the first `SETTLING` cycles, and while those are that say they count."""
    lines = netlist.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(".outputs"))
    count = [f"settled${stage}" for stage in range(SETTLING + 1)]
    lines += [f".names {count[0]}", "1"]
    lines += [f".latch {before} {after} 0" for before, after in pairwise(count)]
    outputs = lines[at].split()[1:]
    masks = {**_valids(outputs), **care}
    return _masked(lines, at, {name: f"{count[-1]} {masks.get(name, count[-1])}" for name in outputs})


def _masked(lines: list[str], at: int, masks: Mapping[str, str]) -> str:
    """Replaces outputs, which the line `at` lists, by what they are while others are high."""
    words = lines[at].split()
    lines[at] = " ".join(f"{word}$seen" if word in masks else word for word in words)
    for name, mask in masks.items():
        ones = "1" * (1 + len(mask.split()))
        lines += [f".names {name} {mask} {name}$seen", f"{ones} 1"]
    return "\n".join([*(line for line in lines if line != ".end"), ".end", ""])
