#include "runtime_counters.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

uintptr_t vr_code_offset(const void *address) {
    Dl_info info;
    return dladdr(address, &info) != 0 && info.dli_fbase != NULL ? (uintptr_t)address - (uintptr_t)info.dli_fbase : 0;
}

#if defined(__GLIBC__)

#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <stdbool.h>
#include <unistd.h>

// Thread-local storage of the program itself: touching it never allocates.
static __thread vr_runtime_counts counts;
static __thread bool counting;

static void note(uint64_t *counter) {
    counting = false;
    *counter += 1;
    if (counts.site_count < VR_COUNTED_SITES) {
        void *frames[VR_SITE_DEPTH + 2];
        int found = backtrace(frames, VR_SITE_DEPTH + 2);
        // Without this function and the one that called it.
        for (int index = 2; index < found; index += 1) counts.sites[counts.site_count][index - 2] = frames[index];
        counts.site_count += 1;
    }
    counting = true;
}

// MARK: - The C library's

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *malloc(size_t size) {
    if (__builtin_expect(counting, 0)) note(&counts.allocations);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    if (__builtin_expect(counting, 0)) note(&counts.allocations);
    return __libc_calloc(count, size);
}
void *realloc(void *p, size_t size) {
    if (__builtin_expect(counting, 0)) note(&counts.allocations);
    return __libc_realloc(p, size);
}
void *memalign(size_t alignment, size_t size) {
    if (__builtin_expect(counting, 0)) note(&counts.allocations);
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **out, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *p = memalign(alignment, size);
    if (p == NULL) return ENOMEM;
    *out = p;
    return 0;
}
void *valloc(size_t size) { return memalign((size_t)sysconf(_SC_PAGESIZE), size); }
void free(void *p) {
    if (__builtin_expect(counting, 0) && p != NULL) note(&counts.frees);
    __libc_free(p);
}

// MARK: - The Swift runtime's

// The program's own calls find these first; calls within the runtime do not come by. The runtime has variables for this purpose, but in Swift 6.3 what they
// are given for a short string is no object. On x86-64 these functions follow the C calling convention, on arm64 they do not.
#if defined(__x86_64__)

#define NEXT(name) static __typeof__(&name) next; if (__builtin_expect(next == NULL, 0)) next = (__typeof__(next))dlsym(RTLD_NEXT, #name)
#define COUNTED(result, name, parameters, arguments, counter) \
    result name parameters { \
        NEXT(name); \
        if (__builtin_expect(counting, 0)) note(&counts.counter); \
        return next arguments; \
    }

void *swift_allocObject(const void *, size_t, size_t);
void *swift_retain(void *);
void *swift_retain_n(void *, uint32_t);
void *swift_bridgeObjectRetain(void *);
void *swift_bridgeObjectRetain_n(void *, int);
void swift_release(void *);
void swift_release_n(void *, uint32_t);
void swift_bridgeObjectRelease(void *);
void swift_bridgeObjectRelease_n(void *, int);

COUNTED(void *, swift_allocObject, (const void *type, size_t size, size_t alignment), (type, size, alignment), objects)
COUNTED(void *, swift_retain, (void *object), (object), retains)
COUNTED(void *, swift_retain_n, (void *object, uint32_t times), (object, times), retains)
COUNTED(void *, swift_bridgeObjectRetain, (void *object), (object), retains)
COUNTED(void *, swift_bridgeObjectRetain_n, (void *object, int times), (object, times), retains)
COUNTED(void, swift_release, (void *object), (object), releases)
COUNTED(void, swift_release_n, (void *object, uint32_t times), (object, times), releases)
COUNTED(void, swift_bridgeObjectRelease, (void *object), (object), releases)
COUNTED(void, swift_bridgeObjectRelease_n, (void *object, int times), (object, times), releases)

int vr_counts_are_possible(void) { return 1; }
#else
int vr_counts_are_possible(void) { return 0; }
#endif

// The first call of backtrace loads a library.
__attribute__((constructor)) static void prepare(void) {
    void *frame;
    backtrace(&frame, 1);
}

void vr_begin_counting(void) {
    memset(&counts, 0, sizeof counts);
    counting = true;
}

void vr_end_counting(vr_runtime_counts *out) {
    counting = false;
    *out = counts;
}

void vr_allocate_once(void) {
    void *volatile p = malloc(1);
    free(p);
}

#else

int vr_counts_are_possible(void) { return 0; }
void vr_begin_counting(void) {}
void vr_end_counting(vr_runtime_counts *out) { memset(out, 0, sizeof *out); }
void vr_allocate_once(void) {}

#endif
