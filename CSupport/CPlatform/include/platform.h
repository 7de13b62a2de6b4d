// What the packet path needs from the machine and Swift cannot say: thread affinity, the time-stamp counter, prefetch.
// And `vr_frame`, the one structure that crosses between a port driver and the pipeline.
#ifndef VR_PLATFORM_H
#define VR_PLATFORM_H

#include <stdint.h>
#include <stddef.h>

enum { VR_BURST = 32 };

// A frame in a buffer of the process's buffer pool. A port fills `count` of these on receive and takes them back on
// transmit; who holds the frame owns the buffer. Trivial: 32 bytes, copied freely.
typedef struct vr_frame {
    void *buffer;        // handle of the owning pool (own pool: start of buffer; DPDK: struct rte_mbuf *)
    uint8_t *data;       // first octet of the Ethernet header
    uint32_t length;     // octets of the frame at data
    uint32_t headroom;   // writable octets before data
    uint32_t tailroom;   // writable octets after data + length; in a frame to transmit that the port is to cut: VR_SEGMENTED + data octets per segment
    uint32_t hash;       // RSS hash from the port; 0 = none
} vr_frame;

// A TCP packet, or a UDP packet of several datagrams, for a port with PortTraits.cutsSegments: its transport checksum is the port's, too.
#define VR_SEGMENTED 0x80000000u

// Pin the calling thread to one core. 0 or an errno value.
int vr_pin_thread(int core);
// Name the calling thread (15 characters are kept).
void vr_name_thread(const char *name);
// Cores this process may run on, lowest first; returns how many were written.
int vr_allowed_cores(int *cores, int capacity);
// TSC frequency in Hz, measured once against CLOCK_MONOTONIC_RAW (about 10 ms at first call).
uint64_t vr_tsc_hz(void);
// CLOCK_REALTIME in nanoseconds since 1970.
uint64_t vr_wall_ns(void);
// The length of the text at `address` when it is a zero-terminated one of at most 255 printable octets in this program's image, else 0. Any address is safe.
size_t vr_image_text_length(uintptr_t address);
// CLOCK_MONOTONIC in nanoseconds.
uint64_t vr_monotonic_ns(void);
// NULL when this processor has what the packet path was compiled for; else the name of that level (x86-64-v3). Compiled itself for any processor.
const char *vr_processor_wanted(void);
// Let the calling thread rest.
void vr_nap(uint64_t nanoseconds);
// Reserve `size` octets of zeroed address space that costs memory only where touched. NULL on failure.
void *vr_reserve(size_t size);
void vr_unreserve(void *address, size_t size);
// Ask for huge pages behind a reserved range: it then costs memory by 2 MiB where touched. A wish; the kernel may not grant it.
void vr_prefer_huge_pages(void *address, size_t size);
// Fill with random octets from the kernel (hash seeds). Never fails on Linux >= 3.17.
void vr_random(void *out, size_t size);

// An eventfd to wake a sleeping thread, and the sleep: until one of `count` descriptors is readable or `timeout_ns` passed.
// More than 64 descriptors: the rest is not waited for. Returns the number that are readable.
int vr_doorbell_open(void);
void vr_doorbell_close(int descriptor);
void vr_doorbell_ring(int descriptor);
void vr_doorbell_answer(int descriptor);
int vr_wait_readable(const int *descriptors, int count, uint64_t timeout_ns);

static inline uint64_t vr_tsc(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return vr_monotonic_ns();
#endif
}
static inline void vr_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
// To be written: the line comes without the copies that other cores have of it. The instruction itself: a compiler that targets baseline x86-64 writes that of vr_prefetch, after which
// the write has to wait for the other core once more. Processors without it (2003 and before, some of 2013 and before) do nothing.
static inline void vr_prefetch_write(const void *p) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
    __builtin_prefetch(p, 1, 3);
#endif
}
// Bits set. The instruction itself: a compiler that targets baseline x86-64 writes a dozen others. Every x86-64 processor that DPDK runs on has it (2008).
static inline uint64_t vr_popcount64(uint64_t bits) {
#if defined(__x86_64__)
    uint64_t count;
    __asm__("popcnt %1, %0" : "=r"(count) : "r"(bits) : "cc");
    return count;
#else
    return (uint64_t)__builtin_popcountll(bits);
#endif
}
// Each of `count` numbers, at least one, at `lanes` is the first bits of an address, then a 1, then zeroes. The first whose bits `key` begins with; `count` or
// more: none does. Up to four are one comparison, more are compared sixteen at a time: so few branches that hardly any is guessed wrongly. Up to 60 octets behind the
// last one have to be readable.
static inline uint32_t vr_first_prefix(const void *lanes, uint32_t count, uint32_t key) {
    const uint32_t *at = (const uint32_t *)lanes;
#if defined(__x86_64__)
    typedef uint32_t vr_lanes __attribute__((vector_size(16), aligned(4)));
    typedef int vr_ints __attribute__((vector_size(16)));
    typedef short vr_shorts __attribute__((vector_size(16)));
    typedef char vr_chars __attribute__((vector_size(16)));
    typedef float vr_floats __attribute__((vector_size(16)));
    // What differs above the 1 is nothing: all ones.
#define VR_SAME(from) ((vr_ints)(((*(const vr_lanes *)(at + (from)) ^ key) & ~(*(const vr_lanes *)(at + (from)) ^ (*(const vr_lanes *)(at + (from)) - 1))) == 0))
    if (count <= 4) {
        uint32_t bits = (uint32_t)__builtin_ia32_movmskps((vr_floats)VR_SAME(0));
        return bits ? (uint32_t)__builtin_ctz(bits) : count;
    }
    for (uint32_t from = 0; from < count; from += 16) {
        vr_shorts low = __builtin_ia32_packssdw128(VR_SAME(from), VR_SAME(from + 4)), high = __builtin_ia32_packssdw128(VR_SAME(from + 8), VR_SAME(from + 12));
        uint32_t bits = (uint32_t)__builtin_ia32_pmovmskb128((vr_chars)__builtin_ia32_packsswb128(low, high));
        if (bits) return from + (uint32_t)__builtin_ctz(bits);
    }
#undef VR_SAME
#else
    for (uint32_t index = 0; index < count; index++)
        if (((at[index] ^ key) & ~(at[index] ^ (at[index] - 1))) == 0) return index;
#endif
    return count;
}
static inline void vr_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

#endif
