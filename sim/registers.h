// The AXI4-Lite master that reads and writes the core's registers: accesses in order, reads beside writes, each
// offered before the one before it is answered.
#pragma once

#include "bus.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <vector>

namespace mixpe {

// As `Access` of mixpe.sim.fast.
struct Access {
    uint32_t offset, value;  // of a read, `value` is what came
    uint32_t strobes;        // of a write
    uint32_t writes;
    uint32_t response;
};

class Registers {
public:
    Registers(Vcore& top, Log& log, Random& random, double back_pressure)
        : top_(top), log_(log), random_(random), back_pressure_(back_pressure) {}

    void reset() {
        reads_ = {};
        writes_ = {};
        read_answer_ = {};
        write_answer_ = {};
        idle();
    }

    // Calls `cycle` until all accesses are answered. Returns OKAY or FAILED.
    template <typename Cycle>
    int play(Access* accesses, size_t count, Cycle cycle) {
        reads_ = {};
        writes_ = {};
        for (size_t i = 0; i < count; ++i) (accesses[i].writes ? writes_ : reads_).accesses.push_back(accesses + i);
        for (Side* side : {&reads_, &writes_}) side->address.wait = side->data.wait = delay();
        for (size_t i = 0; i < MOST_CYCLES * count && !(reads_.done() && writes_.done()) && !log_.failed(); ++i) {
            drive();
            cycle();
        }
        idle();
        if (log_.failed()) return FAILED;
        for (Side* side : {&writes_, &reads_})
            if (!side->done()) return refuse(*side->accesses[side->answered]);
        return OKAY;
    }

    // Takes note of what is on the wires in this cycle.
    void watch() {
        if (top_.s_axil_rvalid && reads_.answered >= reads_.address.taken)
            log_.fail("AXI4-Lite: an answer that was not asked for");
        if (top_.s_axil_bvalid && writes_.answered >= std::min(writes_.address.taken, writes_.data.taken))
            log_.fail("AXI4-Lite: an answer that was not asked for");
        uint64_t answer = uint64_t(top_.s_axil_rresp) << 32 | top_.s_axil_rdata;
        if (!write_answer_.check(top_.s_axil_bvalid, top_.s_axil_bready, top_.s_axil_bresp))
            log_.fail("AXI4-Lite: BVALID or its payload changed before BREADY");
        if (!read_answer_.check(top_.s_axil_rvalid, top_.s_axil_rready, answer))
            log_.fail("AXI4-Lite: RVALID or its payload changed before RREADY");
        if (log_.failed()) return;
        pass(reads_.address, top_.s_axil_arvalid && top_.s_axil_arready);
        pass(writes_.address, top_.s_axil_awvalid && top_.s_axil_awready);
        pass(writes_.data, top_.s_axil_wvalid && top_.s_axil_wready);
        if (top_.s_axil_rvalid && top_.s_axil_rready) {
            Access& access = *reads_.accesses[reads_.answered++];
            access.response = top_.s_axil_rresp;
            access.value = top_.s_axil_rdata;
        }
        if (top_.s_axil_bvalid && top_.s_axil_bready)
            writes_.accesses[writes_.answered++]->response = top_.s_axil_bresp;
    }

private:
    static constexpr size_t MOST_CYCLES = 10000;  // of an access
    static constexpr int ADDRESS_BITS = 10;

    struct Channel {
        size_t taken = 0;
        int wait = 0;  // cycles until the next one is offered
    };

    struct Side {
        std::vector<Access*> accesses;
        Channel address, data;
        size_t answered = 0;

        bool done() const { return answered == accesses.size(); }
        // What a channel offers in this cycle, if anything.
        const Access* offered(Channel& channel) const {
            if (channel.taken == accesses.size() || channel.wait-- > 0) return nullptr;
            channel.wait = 0;
            return accesses[channel.taken];
        }
    };

    bool stalls() { return random_.chance(back_pressure_); }
    int delay() { return back_pressure_ > 0 ? int(random_.next() % 4) : 0; }

    void pass(Channel& channel, bool taken) {
        if (!taken) return;
        ++channel.taken;
        channel.wait = delay();
    }

    // What is not valid is garbage.
    void drive() {
        const Access* access = reads_.offered(reads_.address);
        top_.s_axil_arvalid = access != nullptr;
        top_.s_axil_araddr = access ? access->offset : garbage(ADDRESS_BITS);
        top_.s_axil_arprot = garbage(3);
        access = writes_.offered(writes_.address);
        top_.s_axil_awvalid = access != nullptr;
        top_.s_axil_awaddr = access ? access->offset : garbage(ADDRESS_BITS);
        top_.s_axil_awprot = garbage(3);
        access = writes_.offered(writes_.data);
        top_.s_axil_wvalid = access != nullptr;
        top_.s_axil_wdata = access ? access->value : garbage(32);
        top_.s_axil_wstrb = access ? access->strobes : garbage(4);
        top_.s_axil_rready = !stalls();
        top_.s_axil_bready = !stalls();
    }

    uint32_t garbage(int bits) { return uint32_t(noise_.next() >> (64 - bits)); }

    void idle() {
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_arvalid = 0;
        top_.s_axil_bready = top_.s_axil_rready = 0;
    }

    int refuse(const Access& access) {
        char text[64];
        std::snprintf(text, sizeof text, "AXI4-Lite: no answer to a %s of register 0x%03x",
                      access.writes ? "write" : "read", access.offset);
        return log_.fail(text);
    }

    Vcore& top_;
    Log& log_;
    Random& random_;
    double back_pressure_;
    Random noise_{1};
    Side reads_, writes_;
    Offer<uint64_t> read_answer_, write_answer_;
};

}  // namespace mixpe
