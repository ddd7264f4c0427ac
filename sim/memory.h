// The AXI4 memory beside the core: latencies, bandwidth, back-pressure, faults; and the watch over what the core
// asks for.
#pragma once

#include "bus.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

// Verilator keeps a bus as little-endian words, which are copied from and to memory as they are.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "this model runs on little-endian machines only"
#endif

namespace mixpe {

class Memory {
public:
    Memory(Vcore& top, Log& log, Random& random, const Options& options, uint8_t* bytes)
        : top_(top), log_(log), random_(random), options_(options), bytes_(bytes) {}

    uint64_t read_bytes() const { return read_bytes_; }
    uint64_t write_bytes() const { return write_bytes_; }
    void add_fault(const Fault& fault) { faults_.push_back(fault); }
    void clear_faults() { faults_.clear(); }

    // Forgets what is under way. Bytes and faults stay.
    void reset() {
        reads_.clear();
        writes_.clear();
        answers_.clear();
        words_.clear();
        read_offer_ = {};
        write_offer_ = {};
        word_offer_ = {};
        credit_ = 0;
        write_wanted_ = writes_turn_ = false;
        top_.m_axi_awready = top_.m_axi_wready = top_.m_axi_arready = 0;
        top_.m_axi_bvalid = top_.m_axi_rvalid = 0;
    }

    // Takes note of what is on the wires in this cycle.
    void watch() {
        read_taken_ = top_.m_axi_rvalid && top_.m_axi_rready;
        answer_taken_ = top_.m_axi_bvalid && top_.m_axi_bready;
        watch_reads();
        watch_writes();
        watch_words();
    }

    // Sets the wires for the next cycle, which `Log::cycle` counts already.
    void drive() {
        drive_data();
        drive_answers();
        top_.m_axi_arready = reads_.size() < options_.requests && !stalls() &&
            invited(top_.m_axi_arvalid, top_.m_axi_arready);
        top_.m_axi_awready = writes_.size() + answers_.size() < options_.requests && !stalls() &&
            invited(top_.m_axi_awvalid, top_.m_axi_awready);
    }

private:
    static constexpr uint64_t PAGE = 4096;  // which no burst crosses
    static constexpr unsigned INCR = 1;
    static constexpr size_t WORDS_AHEAD = 4;  // of write data taken before their address

    struct Request {
        uint64_t address = 0;
        unsigned length = 0, size = 0, burst = 0, id = 0, lock = 0, cache = 0, prot = 0;

        bool operator==(const Request& other) const {
            return address == other.address && length == other.length && size == other.size && burst == other.burst
                && id == other.id && lock == other.lock && cache == other.cache && prot == other.prot;
        }
        uint64_t words() const { return length + 1u; }
        uint64_t bytes() const { return words() * WORD; }
    };

    struct Word {
        std::array<uint8_t, WORD> data;
        uint64_t strobes;
        bool last;

        bool operator==(const Word& other) const {
            return data == other.data && strobes == other.strobes && last == other.last;
        }
    };

    struct ReadBurst {
        Request request;
        uint64_t due = 0;  // cycle of the first word at the earliest
        uint64_t sent = 0;
        std::vector<uint8_t> data;
        std::vector<Response> responses;  // empty: all OKAY
    };

    struct WriteBurst {
        Request request;
        uint64_t due = 0;  // cycle of the answer at the earliest
        std::vector<Word> words;
    };

    static constexpr unsigned log2_of(uint64_t n) { return n == 1 ? 0 : 1 + log2_of(n / 2); }

    // Whether a ready may be high in the next cycle: a patient memory's, where its valid waits.
    bool invited(bool valid, bool ready) const { return !options_.patient || (valid && !ready); }
    bool stalls() { return random_.chance(options_.back_pressure); }

    // What the core asks for

    void watch_reads() {
        if (!top_.m_axi_arvalid && !read_offer_.waits()) return;
        Request request{top_.m_axi_araddr, top_.m_axi_arlen,  top_.m_axi_arsize,  top_.m_axi_arburst,
                        top_.m_axi_arid,   top_.m_axi_arlock, top_.m_axi_arcache, top_.m_axi_arprot};
        if (!read_offer_.check(top_.m_axi_arvalid, top_.m_axi_arready, request))
            log_.fail("AXI4: ARVALID or its payload changed before ARREADY");
        if (top_.m_axi_arvalid && top_.m_axi_arready && legal("AR", request)) accept_read(request);
    }

    void watch_writes() {
        if (!top_.m_axi_awvalid && !write_offer_.waits()) return;
        Request request{top_.m_axi_awaddr, top_.m_axi_awlen,  top_.m_axi_awsize,  top_.m_axi_awburst,
                        top_.m_axi_awid,   top_.m_axi_awlock, top_.m_axi_awcache, top_.m_axi_awprot};
        if (!write_offer_.check(top_.m_axi_awvalid, top_.m_axi_awready, request))
            log_.fail("AXI4: AWVALID or its payload changed before AWREADY");
        if (top_.m_axi_awvalid && top_.m_axi_awready && legal("AW", request)) {
            writes_.emplace_back();
            writes_.back().request = request;
        }
    }

    bool legal(const char* channel, const Request& request) {
        auto refuse = [&](const char* what, uint64_t value) {
            char text[128];
            std::snprintf(text, sizeof text, "AXI4: %s%s of a burst of %u words at 0x%llx: %llu", channel, what,
                          unsigned(request.words()), static_cast<unsigned long long>(request.address),
                          static_cast<unsigned long long>(value));
            log_.fail(text);
            return false;
        };
        if (request.size != log2_of(WORD)) return refuse("SIZE is no whole word", request.size);
        if (request.burst != INCR) return refuse("BURST is not INCR", request.burst);
        if (request.address % WORD) return refuse("ADDR is unaligned", request.address % WORD);
        if (request.address % PAGE + request.bytes() > PAGE) return refuse("LEN crosses 4 KiB", request.length);
        return true;
    }

    // The data are those of this moment: a core that reads what it has just written must have waited.
    void accept_read(const Request& request) {
        reads_.emplace_back();
        ReadBurst& burst = reads_.back();
        burst.request = request;
        burst.due = log_.cycle + options_.read_latency;
        burst.data.assign(request.bytes(), 0);
        for (uint64_t i = 0; i < request.words(); ++i) {
            uint64_t address = request.address + i * WORD;
            Response response = response_at(address);
            if (response == OKAY) {
                std::memcpy(&burst.data[i * WORD], bytes_ + (address - options_.base), WORD);
            } else {
                burst.responses.resize(request.words(), OKAY);
                burst.responses[i] = response;
            }
        }
    }

    void watch_words() {
        write_wanted_ = top_.m_axi_wvalid;
        if (top_.m_axi_wvalid || word_offer_.waits()) {
            Word word;
            std::memcpy(word.data.data(), &top_.m_axi_wdata, WORD);
            word.strobes = top_.m_axi_wstrb;
            word.last = top_.m_axi_wlast;
            if (!word_offer_.check(top_.m_axi_wvalid, top_.m_axi_wready, word))
                log_.fail("AXI4: WVALID or its payload changed before WREADY");
            if (top_.m_axi_wvalid && top_.m_axi_wready) {
                words_.push_back(word);
                spend();
            }
        }
        while (!writes_.empty() && !words_.empty() && !log_.failed()) take_word();
    }

    // Puts the oldest word into the oldest burst.
    void take_word() {
        WriteBurst& burst = writes_.front();
        burst.words.push_back(words_.front());
        words_.pop_front();
        bool is_last = burst.words.size() == burst.request.words();
        if (burst.words.back().last != is_last)
            log_.fail("AXI4: WLAST is " + std::to_string(!is_last) + " at word " + std::to_string(burst.words.size())
                      + " of " + std::to_string(burst.request.words()));
        if (!is_last) return;
        burst.due = log_.cycle + options_.write_latency;
        answers_.push_back(std::move(burst));
        writes_.pop_front();
    }

    // What the memory does in the next cycle

    // Reads and writes share the bandwidth. In cycles in which it does not suffice for both they take turns.
    void drive_data() {
        if (limited()) credit_ = std::min(credit_ + options_.bytes_per_cycle, 2 * double(WORD));
        if (read_taken_) {
            ReadBurst& burst = reads_.front();
            read_bytes_ += WORD;
            if (++burst.sent == burst.request.words()) reads_.pop_front();
        }
        if (read_taken_ || !top_.m_axi_rvalid) {
            bool is_due = !reads_.empty() && reads_.front().due <= log_.cycle;
            bool contends = is_due && write_wanted_ && affords(1) && !affords(2);
            if (contends) writes_turn_ = !writes_turn_;
            bool offers = is_due && affords(1) && !(contends && writes_turn_) && !stalls();
            top_.m_axi_rvalid = offers;
            if (offers) {
                offer_word(reads_.front());
                spend();
            }
        }
        top_.m_axi_wready = words_.size() < WORDS_AHEAD && affords(1) && !stalls() &&
            invited(top_.m_axi_wvalid, top_.m_axi_wready);
    }

    bool limited() const { return options_.bytes_per_cycle > 0; }
    bool affords(int words) const { return !limited() || credit_ >= words * double(WORD); }
    void spend() { credit_ -= limited() ? double(WORD) : 0; }

    void offer_word(const ReadBurst& burst) {
        std::memcpy(&top_.m_axi_rdata, &burst.data[burst.sent * WORD], WORD);
        top_.m_axi_rresp = burst.responses.empty() ? OKAY : burst.responses[burst.sent];
        top_.m_axi_rlast = burst.sent + 1 == burst.request.words();
        top_.m_axi_rid = burst.request.id;
    }

    // Memory holds a burst from its answer on, no earlier.
    void drive_answers() {
        if (top_.m_axi_bvalid && !answer_taken_) return;
        top_.m_axi_bvalid = !answers_.empty() && answers_.front().due <= log_.cycle && !stalls();
        if (!top_.m_axi_bvalid) return;
        const WriteBurst& burst = answers_.front();
        top_.m_axi_bid = burst.request.id;
        top_.m_axi_bresp = commit(burst);
        answers_.pop_front();
    }

    // Writes the strobed bytes of the words that have no fault. Returns the worst response of all.
    Response commit(const WriteBurst& burst) {
        Response worst = OKAY;
        uint64_t address = burst.request.address;
        for (const Word& word : burst.words) {
            Response response = response_at(address);
            if (response > worst) worst = response;
            for (uint64_t i = 0; i < WORD; ++i) {
                if (!(word.strobes >> i & 1)) continue;
                ++write_bytes_;
                if (response == OKAY) bytes_[address - options_.base + i] = word.data[i];
            }
            address += WORD;
        }
        return worst;
    }

    Response response_at(uint64_t address) const {
        if (address < options_.base || address - options_.base > options_.size - WORD) return DECERR;
        for (const Fault& fault : faults_)
            if (address + WORD > fault.first && address < fault.first + fault.size) return fault.response;
        return OKAY;
    }

    Vcore& top_;
    Log& log_;
    Random& random_;
    const Options options_;
    uint8_t* bytes_;
    uint64_t read_bytes_ = 0, write_bytes_ = 0;

    Offer<Request> read_offer_, write_offer_;
    Offer<Word> word_offer_;
    std::deque<ReadBurst> reads_;
    std::deque<WriteBurst> writes_;   // address taken, data not all
    std::deque<WriteBurst> answers_;  // whole, not yet answered
    std::deque<Word> words_;          // data whose address is not taken yet
    std::vector<Fault> faults_;
    double credit_ = 0;  // bytes that may be moved now
    bool read_taken_ = false, answer_taken_ = false;
    bool write_wanted_ = false;  // a word to write was offered in the last cycle
    bool writes_turn_ = false;
};

}  // namespace mixpe
