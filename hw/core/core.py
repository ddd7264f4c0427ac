"""The accelerator core: an array behind registers and an AXI4 memory port."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ...spec import layout
from ...spec.core import CoreConfig
from ...spec.errors import UserError
from ..array.top import Top
from ..modules import Modules, place
from .act_feed import ActFeed
from .axi import lead_out, read_members, write_members
from .axi_lite import axil_members
from .bank_buffer import BankBuffer
from .commands import Commands
from .loaders import ActLoader, BankTag, TileLoader, TokenLoader
from .plan import Planner, TileSizes, walk_tiles
from .reader import Reader
from .register_file import RegisterFile
from .stream_buffer import StreamBuffer
from .writer import Writer


class Core(wiring.Component):
    """Multiplies matrices that lie in memory (docs/memory.md), a command each (docs/core.md).

    Ports: the AXI4-Lite slave `s_axil_*` (`mixpe.spec.registers`), the AXI4 master `m_axi_*`, `irq`.

    `modules`: as of `mixpe.hw.modules`; None elaborates plain submodules. Raises `UserError` if `config.bus`
    is not "axi".
    """

    def __init__(self, config: CoreConfig, modules: Modules | None = None):
        if config.bus != "axi":
            raise UserError(f"bus must be axi for a core with masters, not {config.bus}")
        self.config = config
        self.modules = modules
        super().__init__(axil_members() | read_members(config) | write_members(config) | {"irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config, modules, array = self.config, self.modules, self.config.array

        registers = self._add(m, "registers", lambda: RegisterFile(config))
        commands = self._add(m, "commands", lambda: Commands(config))
        planner = self._add(m, "planner", lambda: Planner(config))
        clear = commands.clear
        engine = place(m, "engine", lambda: Top(array, modules), modules, array.name, reset=clear)
        writer = self._add(m, "writer", lambda: Writer(config), reset=clear)
        clients = {
            **({"token": BankTag(config, 1, config.token_words)} if array.token_scale else {}),
            "scale": None,
            "act": BankTag(config, array.rows, config.act_words),
            "weight": None,
        }
        reader = self._add(m, "reader", lambda: Reader(config, clients))

        lead_out(m, self, registers, axil_members())
        m.d.comb += self.irq.eq(registers.irq)
        lead_out(m, self, reader, read_members(config))
        lead_out(m, self, writer, write_members(config))

        weights, scales = (self._stream(m, name, commands, planner, reader) for name in ("weight", "scale"))
        acts = self._acts(m, commands, planner, reader)
        if array.token_scale:
            self._tokens(m, commands, reader, engine)
        job, start = commands.job, commands.start
        _, fed = walk_tiles(m, config, start, job.m, job.n, weights.end_tile)
        _link(m, acts.o, engine.acts)
        _link(m, weights.out, engine.weights)
        _link(m, scales.out, engine.scales)
        _link(m, engine.out, writer.results)
        m.d.comb += [
            *(writer.start.eq(start), writer.address.eq(job.o_address), writer.stride.eq(job.o_stride)),
            *(writer.rows.eq(job.m), writer.cols.eq(job.n), writer.hold.eq(commands.hold)),
            *(planner.start.eq(commands.plan), planner.k.eq(job.k)),
            *(reader.hold.eq(commands.hold), commands.quiet.eq(reader.quiet & writer.quiet)),
            *(commands.planned.eq(planner.done), commands.active.eq(writer.active)),
            commands.error.eq(Mux(reader.failed, reader.error, Mux(writer.failed, writer.error, 0))),
        ]
        self._connect_registers(m, registers, commands)
        self._count(m, registers, commands, reader, writer, engine, fed, acts)
        return m

    def _add(self, m, name, make, **options):
        return place(m, name, make, self.modules, f"{self.config.name}_{name}", **options)

    def _stream(self, m, name, commands, planner, reader):
        """Adds loader and buffer of weights or scales; returns the buffer."""
        config, array, job, sizes = self.config, self.config.array, commands.job, planner.sizes
        if name == "weight":
            depth, width, count = config.weight_words, layout.weight_beat_bits(array), sizes.beats
        else:
            depth, width, count = config.scale_words, layout.scale_beat_bits(array), sizes.groups
        words = sizes[f"{name}_words"]
        words_bits = TileSizes(config)[f"{name}_words"].width
        loader = self._add(m, f"{name}_loader", lambda: TileLoader(config, words_bits), reset=commands.clear)
        buffer = self._add(
            m,
            f"{name}_buffer",
            lambda: StreamBuffer(
                config, depth=depth, width=width, words_bits=words_bits, modules=self.modules
            ),
            reset=commands.clear,
        )
        _link(m, loader.request, getattr(reader, f"{name}_request"))
        m.d.comb += [
            *(loader.start.eq(commands.start), loader.words.eq(words)),
            loader.address.eq(job[f"{name[0]}_address"] >> config.word_index_bits),
            *(loader.cols.eq(job.n), loader.rows.eq(job.m), loader.room.eq(buffer.room)),
            getattr(reader, f"{name}_urgent").eq(buffer.low if name == "weight" else 1),
            *(buffer.reserve.eq(loader.reserve), buffer.more.eq(loader.more)),
            *(buffer.load.eq(getattr(reader, f"{name}_load")), buffer.data.eq(reader.data)),
            *(buffer.start.eq(commands.start), buffer.count.eq(count), buffer.words.eq(words)),
        ]
        return buffer

    def _acts(self, m, commands, planner, reader):
        """Adds loader, banks and feed of the activations; returns the feed."""
        config, array, job, sizes = self.config, self.config.array, commands.job, planner.sizes
        loader = self._add(m, "act_loader", lambda: ActLoader(config), reset=commands.clear)
        buffer = self._add(
            m,
            "act_buffer",
            lambda: BankBuffer(
                config,
                rows=array.rows,
                depth=config.act_words,
                width=layout.act_beat_bits(array),
                modules=self.modules,
            ),
            reset=commands.clear,
        )
        feed = self._add(m, "act_feed", lambda: ActFeed(config), reset=commands.clear)
        _link(m, buffer.out, feed.i)
        shift = config.word_index_bits
        m.d.comb += [
            *(loader.address.eq(job.a_address >> shift), loader.stride.eq(job.a_stride >> shift)),
            *(loader.words.eq(sizes.act_words), loader.cols.eq(job.n), loader.rows.eq(job.m)),
            *(buffer.count.eq(sizes.beats), buffer.cols.eq(job.n)),
            *(feed.start.eq(commands.start), feed.rows.eq(job.m), feed.cols.eq(job.n)),
            *(feed.tail.eq(sizes.tail), feed.last.eq(buffer.last)),
            reader.act_urgent.eq(buffer.starved),
        ]
        self._banks(m, "act", loader, buffer, commands, reader)
        return feed

    def _tokens(self, m, commands, reader, engine):
        """Adds loader and banks of the token scales, which the engine takes a row at a time."""
        config, array, job = self.config, self.config.array, commands.job
        loader = self._add(m, "token_loader", lambda: TokenLoader(config), reset=commands.clear)
        buffer = self._add(
            m,
            "token_buffer",
            lambda: BankBuffer(
                config,
                rows=1,
                depth=config.token_words,
                width=layout.TOKEN_BITS,
                step=array.rows,
                modules=self.modules,
            ),
            reset=commands.clear,
        )
        _link(m, buffer.out, engine.tokens)
        m.d.comb += [
            *(loader.address.eq(job.t_address >> config.word_index_bits), loader.rows.eq(job.m)),
            *(buffer.count.eq(array.rows), buffer.cols.eq(job.n)),
            reader.token_urgent.eq(1),
        ]
        self._banks(m, "token", loader, buffer, commands, reader)

    def _banks(self, m, name, loader, buffer, commands, reader):
        _link(m, loader.request, getattr(reader, f"{name}_request"))
        m.d.comb += [
            *(loader.start.eq(commands.start), loader.free.eq(buffer.free), buffer.claim.eq(loader.claim)),
            *(buffer.load.eq(getattr(reader, f"{name}_load")), buffer.data.eq(reader.data)),
            *(buffer.tag.eq(getattr(reader, f"{name}_tag")), buffer.index.eq(reader.index)),
            *(buffer.end.eq(reader.end), buffer.start.eq(commands.start)),
        ]

    def _connect_registers(self, m, registers, commands):
        for name in ("submit", "command", "cancel", "error_pending"):
            m.d.comb += getattr(commands, name).eq(getattr(registers, name))
        for name in ("refused", "busy", "queued", "done", "done_tag", "failed", "failed_code", "failed_tag"):
            m.d.comb += getattr(registers, name).eq(getattr(commands, name))

    def _count(self, m, registers, commands, reader, writer, engine, fed, acts):
        """What the counters add: each cycle in which operands are due takes, lacks or holds them."""
        due, take, lacking = Signal(), Signal(), Signal()
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


def _link(m: Module, source, sink) -> None:
    """Leads the stream `source` of one component into `sink` of another."""
    m.d.comb += [
        Value.cast(sink.payload).eq(Value.cast(source.payload)),
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
    ]
