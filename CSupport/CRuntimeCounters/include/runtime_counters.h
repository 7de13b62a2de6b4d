// For tests: how often one thread allocates, frees, retains and releases. The functions of the C library and of the Swift runtime are
// replaced by ones that count and pass on; a thread that does not count pays a test per call.
#ifndef VR_RUNTIME_COUNTERS_H
#define VR_RUNTIME_COUNTERS_H

#include <stdint.h>

enum { VR_COUNTED_SITES = 16, VR_SITE_DEPTH = 12 };

typedef struct vr_runtime_counts {
    uint64_t allocations;   // malloc and its relatives
    uint64_t frees;
    uint64_t objects;       // swift_allocObject; also an allocation
    uint64_t retains;       // swift_retain, swift_retain_n
    uint64_t releases;
    uint64_t site_count;    // of the first events, where: return addresses, innermost first, 0 at the end
    void *sites[VR_COUNTED_SITES][VR_SITE_DEPTH];
} vr_runtime_counts;

// Whether counting works here: glibc on x86-64.
int vr_counts_are_possible(void);
// The calling thread counts from zero.
void vr_begin_counting(void);
// It stops; what it counted.
void vr_end_counting(vr_runtime_counts *counts);
// Where code is within its program or library, as addr2line wants it; 0: not known.
uintptr_t vr_code_offset(const void *address);
// One malloc and one free, so that a test can see that counting works.
void vr_allocate_once(void);

#endif
