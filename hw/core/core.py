"""The accelerator core: an array behind registers and an AXI4 memory port."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ...spec.core import CoreConfig
from ...spec.errors import UserError, check_type
from ..array.top import Top
from ..modules import Modules, place
from ..ports import Component, PortGroup, lead_out
from .act_feed import ActFeed
from .axi import MASTER, ReadMaster, WriteMaster, read_members, write_members
from .axi_lite import SLAVE, LiteSlave, axil_members
from .buffers import act_buffer, stream_buffer, token_buffer
from .command import CommandPort
from .commands import Commands
from .loaders import ActLoader, BankTag, TileLoader, TokenLoader
from .plan import Planner, TileSizes, walk_tiles
from .reader import ReadClient, Reader
from .register_file import RegisterFile
from .writer import Writer


class Core(Component):
    """Multiplies matrices that lie in memory (docs/memory.md), one for each command (docs/core.md).

    `modules`: as for `mixpe.hw.modules`; None elaborates plain submodules. Raises `UserError` if `config.bus`
    is not "axi".

    Ports
    -----
    s_axil_*: the AXI4-Lite slave with the registers of `mixpe.spec.registers` (`LiteSlave`).
    m_axi_*: the AXI4 master that reads operands and writes results (`ReadMaster` and `WriteMaster`).
    irq: out, 1: a cause in the register INTERRUPT is enabled.
    """

    def __init__(self, config: CoreConfig, modules: Modules | None = None):
        check_type("config", config, CoreConfig)
        if config.bus != "axi":
            raise UserError(f"bus must be axi for a core with masters, not {config.bus}")
        self.config = config
        self.modules = modules
        super().__init__(axil_members() | read_members(config) | write_members(config) | {"irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config, modules, array = self.config, self.modules, self.config.array

        registers = self._add(m, "registers", lambda: RegisterFile(config))
        commands = self._add(m, "commands", lambda: Commands(config, modules))
        planner = self._add(m, "planner", lambda: Planner(config))
        clear = commands.clear
        engine = place(m, "engine", lambda: Top(array, modules), modules, array.name, reset=clear)
        writer = self._add(m, "writer", lambda: Writer(config), reset=clear)
        tags = {
            **({"token": BankTag(config, 1, config.token_words)} if array.row_members else {}),
            "scale": None,
            "act": BankTag(config, array.rows, config.act_words),
            "weight": None,
        }
        reader = self._add(m, "reader", lambda: Reader(config, tags))
        clients = {
            name: PortGroup(reader, f"{name}_", ReadClient(config, tag).flip()) for name, tag in tags.items()
        }

        lead_out(m, self, registers, SLAVE, LiteSlave())
        m.d.comb += self.irq.eq(registers.irq)
        lead_out(m, self, reader, MASTER, ReadMaster(config))
        lead_out(m, self, writer, MASTER, WriteMaster(config))

        weights, scales = (
            self._stream(m, name, commands, planner, reader, clients[name]) for name in ("weight", "scale")
        )
        acts = self._acts(m, commands, planner, reader, clients["act"])
        if array.row_members:
            self._tokens(m, commands, reader, clients["token"], engine)
        job, start = commands.job, commands.start
        _, fed = walk_tiles(m, config, start, job.m, job.n, weights.end_tile)
        wiring.connect(m, acts.o, engine.acts)
        wiring.connect(m, weights.out, engine.weights)
        wiring.connect(m, scales.out, engine.scales)
        wiring.connect(m, engine.out, writer.results)
        m.d.comb += [
            writer.start.eq(start),
            writer.address.eq(job.o_address),
            writer.stride.eq(job.o_stride),
            writer.rows.eq(job.m),
            writer.cols.eq(job.n),
            writer.hold.eq(commands.hold),
            planner.start.eq(commands.plan),
            planner.k.eq(job.k),
            reader.hold.eq(commands.hold),
            commands.quiet.eq(reader.quiet & writer.quiet),
            commands.planned.eq(planner.done),
            commands.active.eq(writer.active),
            commands.error.eq(Mux(reader.failed, reader.error, Mux(writer.failed, writer.error, 0))),
        ]
        port = CommandPort()
        wiring.connect(m, PortGroup(registers, "", port), PortGroup(commands, "", port.flip()))
        self._count(m, registers, commands, reader, writer, engine, fed, acts)
        return m

    def _add(self, m: Module, name: str, make, **options) -> Any:
        return place(m, name, make, self.modules, f"{self.config.name}_{name}", **options)

    def _stream(self, m: Module, name: str, commands, planner, reader, client: PortGroup) -> Any:
        """Adds loader and buffer of weights or scales; returns the buffer."""
        config, job, sizes = self.config, commands.job, planner.sizes
        count = sizes.beats if name == "weight" else sizes.groups
        words = sizes[f"{name}_words"]
        words_bits = TileSizes(config)[f"{name}_words"].width
        loader = self._add(m, f"{name}_loader", lambda: TileLoader(config, words_bits), reset=commands.clear)
        buffer = self._add(
            m,
            f"{name}_buffer",
            lambda: stream_buffer(config, name, self.modules),
            reset=commands.clear,
        )
        wiring.connect(m, loader.request, client.request)
        m.d.comb += [
            loader.start.eq(commands.start),
            loader.words.eq(words),
            loader.address.eq(job[f"{name[0]}_address"] >> config.word_index_bits),
            loader.cols.eq(job.n),
            loader.rows.eq(job.m),
            loader.room.eq(buffer.room),
            client.urgent.eq(buffer.low if name == "weight" else 1),
            buffer.reserve.eq(loader.reserve),
            buffer.more.eq(loader.more),
            buffer.load.eq(client.load),
            buffer.data.eq(reader.data),
            buffer.start.eq(commands.start),
            buffer.count.eq(count),
        ]
        return buffer

    def _acts(self, m: Module, commands, planner, reader, client: PortGroup) -> Any:
        """Adds loader, banks and feed of the activations; returns the feed."""
        config, job, sizes = self.config, commands.job, planner.sizes
        loader = self._add(m, "act_loader", lambda: ActLoader(config), reset=commands.clear)
        buffer = self._add(
            m,
            "act_buffer",
            lambda: act_buffer(config, self.modules),
            reset=commands.clear,
        )
        feed = self._add(m, "act_feed", lambda: ActFeed(config), reset=commands.clear)
        wiring.connect(m, buffer.out, feed.i)
        m.d.comb += [
            loader.address.eq(job.a_address >> config.word_index_bits),
            loader.stride.eq(job.a_stride >> config.word_index_bits),
            loader.words.eq(sizes.act_words),
            loader.cols.eq(job.n),
            loader.rows.eq(job.m),
            buffer.count.eq(sizes.beats),
            buffer.cols.eq(job.n),
            feed.start.eq(commands.start),
            feed.rows.eq(job.m),
            feed.cols.eq(job.n),
            feed.tail.eq(sizes.tail),
            feed.last.eq(buffer.last),
            client.urgent.eq(buffer.starved),
        ]
        self._fill_banks(m, loader, buffer, commands, reader, client)
        return feed

    def _tokens(self, m: Module, commands, reader, client: PortGroup, engine) -> None:
        """Adds loader and banks of the token scales, which the engine takes a row at a time."""
        config, array, job = self.config, self.config.array, commands.job
        loader = self._add(m, "token_loader", lambda: TokenLoader(config), reset=commands.clear)
        buffer = self._add(
            m,
            "token_buffer",
            lambda: token_buffer(config, self.modules),
            reset=commands.clear,
        )
        wiring.connect(m, buffer.out, engine.tokens)
        m.d.comb += [
            loader.address.eq(job.t_address >> config.word_index_bits),
            loader.rows.eq(job.m),
            buffer.count.eq(array.rows),
            buffer.cols.eq(job.n),
            client.urgent.eq(1),
        ]
        self._fill_banks(m, loader, buffer, commands, reader, client)

    def _fill_banks(self, m: Module, loader, buffer, commands, reader, client: PortGroup) -> None:
        """Connects a loader, the reader and the banks that its words go to."""
        wiring.connect(m, loader.request, client.request)
        m.d.comb += [
            loader.start.eq(commands.start),
            loader.free.eq(buffer.free),
            buffer.claim.eq(loader.claim),
            buffer.load.eq(client.load),
            buffer.data.eq(reader.data),
            buffer.tag.eq(client.tag),
            buffer.index.eq(reader.index),
            buffer.end.eq(reader.end),
            buffer.start.eq(commands.start),
        ]

    def _count(self, m: Module, registers, commands, reader, writer, engine, fed, acts) -> None:
        """Tells the counters what to add: each cycle in which operands are due takes, lacks or holds them."""
        due = Signal()
        take = Signal()
        lacking = Signal()
        m.d.comb += [
            due.eq(commands.running & ~fed),
            take.eq(engine.weights.valid & engine.weights.ready),
            lacking.eq(~engine.weights.valid | ~engine.scales.valid | (~acts.o.valid & ~acts.done)),
            registers.add_cycles.eq(commands.running),
            registers.add_beats.eq(take),
            registers.add_stall_read.eq(due & ~take & lacking),
            registers.add_stall_array.eq(due & ~take & ~lacking),
            registers.add_read_bytes.eq(Mux(reader.count_words, self.config.word_bytes, 0)),
            registers.add_write_bytes.eq(writer.count_bytes),
        ]
