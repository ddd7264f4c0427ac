// What both sides of the core share: the clock's count, the first rule broken, and the rule of valid and ready.
#pragma once

#include "Vcore.h"

#include <cstdint>
#include <string>
#include <type_traits>

namespace mixpe {

constexpr uint64_t WORD = sizeof(std::remove_reference_t<decltype(Vcore::m_axi_rdata)>);  // bytes of the data buses

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

// What a function returns in place of a response where a rule is broken.
constexpr int FAILED = -1;

struct Fault {
    uint64_t first, size;
    Response response;
};

// As `_Options` of mixpe.sim.fast.
struct Options {
    uint64_t base, size;
    uint64_t seed;
    double bytes_per_cycle;  // 0: no limit
    double back_pressure;    // chance of every ready, and of every new valid, to be low in a cycle
    uint32_t read_latency, write_latency, requests;
    uint32_t patient;  // not 0: every ready waits for its valid
    const char* argument;  // such as "+name=1", which Verilog reads by $value$plusargs; may be null
};

// Cycles passed, and the first complaint since it was cleared.
struct Log {
    uint64_t cycle = 0;
    std::string error;

    bool failed() const { return !error.empty(); }
    int fail(const std::string& text) {
        if (error.empty()) error = "cycle " + std::to_string(cycle) + ": " + text;
        return FAILED;
    }
};

// splitmix64 (Steele, Lea, Flood 2014)
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    bool chance(double p) { return p > 0 && double(next() >> 11) * 0x1p-53 < p; }

private:
    uint64_t state_;
};

// Holds whoever offers a payload to the rule: what is offered stays until it is taken.
template <typename Payload>
class Offer {
public:
    // Of one cycle. Returns whether the rule holds.
    bool check(bool valid, bool ready, const Payload& payload) {
        bool holds = !waits_ || (valid && payload == payload_);
        waits_ = valid && !ready;
        if (waits_) payload_ = payload;
        return holds;
    }
    bool waits() const { return waits_; }

private:
    bool waits_ = false;
    Payload payload_{};
};

}  // namespace mixpe
