// Counters with one writer and any readers: plain loads and stores that the compiler may not tear.
#ifndef VR_PCAP_COUNTERS_H
#define VR_PCAP_COUNTERS_H

#include "vr_pcap.h"

static inline void vr_count(uint64_t *counter, uint64_t amount) {
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}
static inline uint64_t vr_counted(const uint64_t *counter) { return __atomic_load_n(counter, __ATOMIC_RELAXED); }

// Receiving and transmitting may be different threads: their counters lie in different cache lines.
typedef struct counted_side {
    uint64_t packets, bytes, errors, uncut;
} __attribute__((aligned(64))) counted_side;

static inline void vr_read_sides(const counted_side *received, const counted_side *transmitted, vr_pcap_counters *out) {
    *out = (vr_pcap_counters){
        .received_packets = vr_counted(&received->packets), .received_bytes = vr_counted(&received->bytes),
        .receive_errors = vr_counted(&received->errors),
        .transmitted_packets = vr_counted(&transmitted->packets), .transmitted_bytes = vr_counted(&transmitted->bytes),
        .transmit_errors = vr_counted(&transmitted->errors), .transmitted_uncut = vr_counted(&transmitted->uncut),
    };
}

#endif
