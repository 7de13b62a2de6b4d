// What the benchmarks need of the kernel and Swift cannot say: the processor's counters, and the layout that `feed` shares with its reader.
#ifndef CBENCH_H
#define CBENCH_H

#include <stddef.h>
#include <stdint.h>

// Counters of the calling thread, in user mode: retired instructions and core cycles. Core cycles run at the clock of the core, not of the TSC, and stand
// still while the thread does not run.
typedef struct vb_counters {
    uint64_t instructions, cycles;
} vb_counters;

// Two descriptors, of which the first is read. 0, or -1 where the machine or its settings give none (virtual machines often;
// /proc/sys/kernel/perf_event_paranoid above 2).
typedef struct vb_counter_group {
    int leader, member;
} vb_counter_group;
int vb_counters_open(vb_counter_group *group);
int vb_counters_read(const vb_counter_group *group, vb_counters *out);
void vb_counters_close(vb_counter_group *group);

// Calls `body`: a function with a name that callgrind can be told, around what is to be counted.
void vb_measured(void (*body)(void *context), void *context);

// Resident memory of this process in octets.
uint64_t vb_resident(void);
// Maps `size` octets of a file for reading; NULL on failure.
const void *vb_map(const char *path, size_t size);
void vb_unmap(const void *address, size_t size);

// An XDP program that passes every packet (60 octets or more, Ethernet and IPv4) to the kernel, or drops it: its descriptor, or a negative errno value.
int vb_kernel_program(int pass, const uint8_t *frame);
// Hands the kernel `count` copies of a frame as if the loopback interface had received them, 64 at a time. 0, or a negative errno value.
int vb_kernel_inject(int program, const uint8_t *frame, uint32_t length, uint32_t count);

// The trace that `feed` replays: this, `count` of vb_frame, then the frames, each on a cache line.
enum { VB_TRACE_MAGIC = 0x31545256, VB_SAMPLE_COUNT = 64, VB_SAMPLE_SIZE = 2048, VB_WINDOW_COUNT = 4096 };
typedef struct vb_trace {
    uint32_t magic, count;
    uint64_t size;     // of the file
} vb_trace;
typedef struct vb_frame {
    uint32_t offset, length;    // offset in units of 64 octets from the start of the file
} vb_frame;

// One window: TSC cycles, the processor's counters, packets received, time.
typedef struct vb_window {
    uint64_t tsc;
    vb_counters counters;
    uint64_t packets;
    uint64_t thread_ns;     // that the receiving thread had a core
} vb_window;

// What `feed` writes while it runs, in a file that it maps: who reads it sees it grow.
typedef struct vb_feed {
    // Packets given to the program, packets and octets that it sent.
    uint64_t received, transmitted, transmitted_bytes;
    // Windows of `window` received packets that ended so far, kept in a ring.
    uint64_t window_count, window;
    uint64_t has_counters;
    vb_window windows[VB_WINDOW_COUNT];
    // The first packets sent.
    uint64_t sample_count;
    uint32_t sample_length[VB_SAMPLE_COUNT];
    uint8_t samples[VB_SAMPLE_COUNT][VB_SAMPLE_SIZE];
} vb_feed;

// Arrays of this size have no form in Swift; these do.
static inline vb_window vb_feed_window(const vb_feed *feed, uint64_t index) { return feed->windows[index % VB_WINDOW_COUNT]; }
static inline const uint8_t *vb_feed_sample(const vb_feed *feed, uint64_t index, uint32_t *length) {
    *length = feed->sample_length[index % VB_SAMPLE_COUNT];
    return feed->samples[index % VB_SAMPLE_COUNT];
}
static inline uint64_t vb_feed_size(void) { return sizeof(vb_feed); }
// The head of a vb_feed.
typedef struct vb_feed_totals {
    uint64_t received, transmitted, transmitted_bytes, window_count, window, has_counters, sample_count;
} vb_feed_totals;
// As of one moment, or nearly: read again when the reader was held up between one number and the next.
static inline vb_feed_totals vb_feed_read(const vb_feed *feed) {
    vb_feed_totals totals;
    for (int i = 0; i < 1000; i++) {
        totals.received = __atomic_load_n(&feed->received, __ATOMIC_ACQUIRE);
        totals.transmitted = __atomic_load_n(&feed->transmitted, __ATOMIC_ACQUIRE);
        totals.transmitted_bytes = __atomic_load_n(&feed->transmitted_bytes, __ATOMIC_ACQUIRE);
        totals.window_count = __atomic_load_n(&feed->window_count, __ATOMIC_ACQUIRE);
        totals.sample_count = __atomic_load_n(&feed->sample_count, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&feed->received, __ATOMIC_ACQUIRE) - totals.received < 256) break;
    }
    totals.window = feed->window;
    totals.has_counters = feed->has_counters;
    return totals;
}

#endif
