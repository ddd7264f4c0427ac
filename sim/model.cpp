// A Verilated accelerator core with its surroundings: the clock, an AXI4-Lite master and an AXI4 memory.
// `mixpe.sim.build` compiles this file with the core's Verilog (as class Vcore) into a library, and `mixpe.sim.fast`
// calls its functions, which are at the end.
//
// All inputs of the core come from registers of this model: they change after a rising edge of the clock, as a
// function of what was on the wires before it.

#include "bus.h"
#include "memory.h"
#include "registers.h"

#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

// In place of Verilator's own, which ends the process.
void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

namespace mixpe {

class Model {
public:
    Model(uint8_t* bytes, const Options& options)
        : context_(new VerilatedContext),
          top_(make_top(context_.get(), options.argument)),
          random_(options.seed),
          memory_(*top_, log_, random_, options, bytes),
          registers_(*top_, log_, random_, options.back_pressure) {
        reset();
    }

    ~Model() {
        close_trace();
        top_->final();
    }

    Log& log() { return log_; }
    Memory& memory() { return memory_; }

    int reset() {
        log_.error.clear();
        registers_.reset();
        memory_.reset();
        Vcore& top = *top_;
        top.rst = 1;
        tick();
        for (int i = 1; i < RESET_CYCLES; ++i) {
            tick();
            if (top.m_axi_arvalid || top.m_axi_awvalid || top.m_axi_wvalid)
                return log_.fail("AXI4: a VALID is high during reset");
            if (top.s_axil_bvalid || top.s_axil_rvalid)
                return log_.fail("AXI4-Lite: a VALID is high during reset");
        }
        top.rst = 0;
        return OKAY;
    }

    // Resets the core while memory goes on.
    int reset_alone() {
        registers_.reset();
        top_->rst = 1;
        for (int i = 0; i < RESET_CYCLES && !log_.failed(); ++i) cycle();
        top_->rst = 0;
        return log_.failed() ? FAILED : OKAY;
    }

    // Runs until `irq` is high (where asked for) or `cycles` have passed. Returns whether `irq` is high.
    int run(uint64_t cycles, bool until_irq) {
        for (uint64_t i = 0; i < cycles && !(until_irq && top_->irq) && !log_.failed(); ++i) cycle();
        return log_.failed() ? FAILED : int(top_->irq);
    }

    int access_registers(mixpe::Access* accesses, size_t count) {
        return registers_.play(accesses, count, [this] { cycle(); });
    }

    int open_trace(const char* path) {
#if VM_TRACE
        close_trace();
        trace_.reset(new VerilatedVcdC);
        top_->trace(trace_.get(), 99);
        trace_->open(path);
        if (trace_->isOpen()) return OKAY;
        trace_.reset();
#endif
        return log_.fail(std::string("cannot write ") + path);
    }

private:
    static constexpr int RESET_CYCLES = 4;

    static Vcore* make_top(VerilatedContext* context, const char* argument) {
        const char* arguments[] = {"core", argument};
        if (argument) context->commandArgs(2, arguments);
        // A faulty netlist breaks what Verilator asserts of case statements, which would end the process.
        context->assertOn(!argument);
        context->traceEverOn(VM_TRACE);
        Vcore* top = new Vcore(context, "");
        top->clk = 0;
        return top;
    }

    void cycle() {
        top_->clk = 0;
        eval();
        registers_.watch();
        memory_.watch();
        rise();
        memory_.drive();
    }

    // A cycle in which nobody watches.
    void tick() {
        top_->clk = 0;
        eval();
        rise();
    }

    void rise() {
        top_->clk = 1;
        eval();
        ++log_.cycle;
    }

    void eval() {
        top_->eval();
#if VM_TRACE
        if (trace_) trace_->dump(context_->time());
#endif
        context_->timeInc(1);
    }

    void close_trace() {
#if VM_TRACE
        if (trace_) trace_->close();
        trace_.reset();
#endif
    }

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vcore> top_;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
    Log log_;
    Random random_;
    Memory memory_;
    Registers registers_;
};

// Turns what Verilator throws into the model's error.
template <typename Action>
int guarded(Model* model, Action action) {
    try {
        return action();
    } catch (const std::exception& error) {
        return model->log().fail(error.what());
    }
}

}  // namespace mixpe

using mixpe::Model;

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Model* mixpe_create(uint8_t* bytes, const mixpe::Options* options) {
    try {
        return new Model(bytes, *options);
    } catch (const std::exception&) {
        return nullptr;
    }
}
EXPORT void mixpe_destroy(Model* model) { delete model; }
EXPORT const char* mixpe_error(Model* model) { return model->log().error.c_str(); }
EXPORT int mixpe_reset(Model* model) {
    return mixpe::guarded(model, [&] { return model->reset(); });
}
EXPORT int mixpe_reset_alone(Model* model) {
    return mixpe::guarded(model, [&] { return model->reset_alone(); });
}
EXPORT int mixpe_run(Model* model, uint64_t cycles, int until_irq) {
    return mixpe::guarded(model, [&] { return model->run(cycles, until_irq); });
}
EXPORT int mixpe_access_registers(Model* model, mixpe::Access* accesses, uint64_t count) {
    return mixpe::guarded(model, [&] { return model->access_registers(accesses, count); });
}
EXPORT void mixpe_add_fault(Model* model, uint64_t first, uint64_t size, int response) {
    model->memory().add_fault({first, size, static_cast<mixpe::Response>(response)});
}
EXPORT void mixpe_clear_faults(Model* model) { model->memory().clear_faults(); }
EXPORT uint64_t mixpe_cycles(Model* model) { return model->log().cycle; }
EXPORT uint64_t mixpe_read_bytes(Model* model) { return model->memory().read_bytes(); }
EXPORT uint64_t mixpe_write_bytes(Model* model) { return model->memory().write_bytes(); }
EXPORT int mixpe_open_trace(Model* model, const char* path) {
    return mixpe::guarded(model, [&] { return model->open_trace(path); });
}
