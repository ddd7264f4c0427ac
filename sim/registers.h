// The AXI4-Lite master that reads and writes the core's registers, one access at a time.
#pragma once

#include "bus.h"

#include <cstdio>

namespace mixpe {

class Registers {
public:
    Registers(Vcore& top, Log& log, Random& random, double back_pressure)
        : top_(top), log_(log), random_(random), back_pressure_(back_pressure) {}

    void reset() {
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_arvalid = 0;
        top_.s_axil_bready = top_.s_axil_rready = 0;
        read_answer_ = {};
        write_answer_ = {};
        access_ = {};
    }

    // Each calls `cycle` until the answer has come. Returns it, or FAILED.
    template <typename Cycle>
    int read(uint32_t offset, uint32_t* value, Cycle cycle) {
        access_ = {};
        access_.reads = true;
        top_.s_axil_araddr = offset;
        top_.s_axil_arprot = 0;
        int wait = delay();
        for (int i = 0; i < MOST_CYCLES && !access_.answered && !log_.failed(); ++i) {
            top_.s_axil_arvalid = !access_.address_taken && i >= wait;
            top_.s_axil_rready = !stalls();
            cycle();
        }
        top_.s_axil_arvalid = top_.s_axil_rready = 0;
        *value = access_.value;
        return end("read", offset);
    }

    template <typename Cycle>
    int write(uint32_t offset, uint32_t value, Cycle cycle) {
        access_ = {};
        access_.writes = true;
        top_.s_axil_awaddr = offset;
        top_.s_axil_awprot = 0;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 15;
        int address_wait = delay(), data_wait = delay();
        for (int i = 0; i < MOST_CYCLES && !access_.answered && !log_.failed(); ++i) {
            top_.s_axil_awvalid = !access_.address_taken && i >= address_wait;
            top_.s_axil_wvalid = !access_.data_taken && i >= data_wait;
            top_.s_axil_bready = !stalls();
            cycle();
        }
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 0;
        return end("write", offset);
    }

    // Takes note of what is on the wires in this cycle.
    void watch() {
        if (top_.s_axil_arvalid && top_.s_axil_arready) access_.address_taken = true;
        if (top_.s_axil_awvalid && top_.s_axil_awready) access_.address_taken = true;
        if (top_.s_axil_wvalid && top_.s_axil_wready) access_.data_taken = true;
        bool may_read = access_.reads && access_.address_taken && !access_.answered;
        bool may_write = access_.writes && access_.address_taken && access_.data_taken && !access_.answered;
        if ((top_.s_axil_rvalid && !may_read) || (top_.s_axil_bvalid && !may_write))
            log_.fail("AXI4-Lite: an answer that was not asked for");
        uint64_t answer = uint64_t(top_.s_axil_rresp) << 32 | top_.s_axil_rdata;
        if (!write_answer_.check(top_.s_axil_bvalid, top_.s_axil_bready, top_.s_axil_bresp))
            log_.fail("AXI4-Lite: BVALID or its payload changed before BREADY");
        if (!read_answer_.check(top_.s_axil_rvalid, top_.s_axil_rready, answer))
            log_.fail("AXI4-Lite: RVALID or its payload changed before RREADY");
        if (top_.s_axil_rvalid && top_.s_axil_rready) {
            access_.answered = true;
            access_.response = top_.s_axil_rresp;
            access_.value = top_.s_axil_rdata;
        } else if (top_.s_axil_bvalid && top_.s_axil_bready) {
            access_.answered = true;
            access_.response = top_.s_axil_bresp;
        }
    }

private:
    static constexpr int MOST_CYCLES = 10000;  // of an access

    struct Access {
        bool reads = false, writes = false;
        bool address_taken = false, data_taken = false, answered = false;
        uint8_t response = OKAY;
        uint32_t value = 0;
    };

    bool stalls() { return random_.chance(back_pressure_); }
    int delay() { return back_pressure_ > 0 ? int(random_.next() % 4) : 0; }

    int end(const char* what, uint32_t offset) {
        if (log_.failed()) return FAILED;
        if (access_.answered) return access_.response;
        char text[64];
        std::snprintf(text, sizeof text, "AXI4-Lite: no answer to a %s of register 0x%03x", what, offset);
        return log_.fail(text);
    }

    Vcore& top_;
    Log& log_;
    Random& random_;
    double back_pressure_;
    Access access_;
    Offer<uint64_t> read_answer_, write_answer_;
};

}  // namespace mixpe
