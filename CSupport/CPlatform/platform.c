#include "platform.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

int vr_pin_thread(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (core < 0 || core >= CPU_SETSIZE) return EINVAL;
    CPU_SET(core, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void vr_name_thread(const char *name) {
    char kept[16];
    strncpy(kept, name, sizeof kept - 1);
    kept[sizeof kept - 1] = 0;
    pthread_setname_np(pthread_self(), kept);
}

int vr_allowed_cores(int *cores, int capacity) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    int count = 0;
    for (int core = 0; core < CPU_SETSIZE && count < capacity; core++)
        if (CPU_ISSET(core, &set)) cores[count++] = core;
    return count;
}

uint64_t vr_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t vr_wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Given by the linker; weak, so that a linker without them only means that no text is found.
extern const char __executable_start __attribute__((weak));
extern const char etext __attribute__((weak));
extern const char edata __attribute__((weak));

size_t vr_image_text_length(uintptr_t address) {
    uintptr_t first = (uintptr_t)&__executable_start, last = (uintptr_t)&etext;
    // Constants lie before the code (lld) or between it and the writable data (others).
    if ((uintptr_t)&edata > last) last = (uintptr_t)&edata;
    if (first == 0 || address < first || address >= last) return 0;
    const char *text = (const char *)address;
    for (size_t length = 0; length < 256 && address + length < last; length++) {
        if (text[length] == 0) return length;
        if (text[length] < 32 || text[length] > 126) return 0;
    }
    return 0;
}

static uint64_t measured_hz;
static pthread_once_t measure_once = PTHREAD_ONCE_INIT;

static void measure(void) {
    uint64_t start = vr_monotonic_ns(), tsc = vr_tsc(), now;
    do { now = vr_monotonic_ns(); } while (now - start < 10000000);
    measured_hz = (vr_tsc() - tsc) * 1000000000u / (now - start);
}

uint64_t vr_tsc_hz(void) {
    pthread_once(&measure_once, measure);
    return measured_hz;
}

void vr_nap(uint64_t nanoseconds) {
    struct timespec nap = {.tv_sec = (time_t)(nanoseconds / 1000000000u), .tv_nsec = (long)(nanoseconds % 1000000000u)};
    nanosleep(&nap, NULL);
}

void *vr_reserve(size_t size) {
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

void vr_unreserve(void *address, size_t size) { munmap(address, size); }

void vr_prefer_huge_pages(void *address, size_t size) { (void)madvise(address, size, MADV_HUGEPAGE); }

void vr_random(void *out, size_t size) {
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got > 0) { at += got; size -= (size_t)got; }
    }
}

int vr_doorbell_open(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void vr_doorbell_close(int descriptor) { close(descriptor); }

void vr_doorbell_ring(int descriptor) {
    uint64_t one = 1;
    ssize_t written = write(descriptor, &one, sizeof one);
    (void)written;  // EAGAIN: it has been rung 2^64 times, the sleeper will wake.
}

void vr_doorbell_answer(int descriptor) {
    uint64_t rings;
    ssize_t got = read(descriptor, &rings, sizeof rings);
    (void)got;  // EAGAIN: nobody rang.
}

int vr_wait_readable(const int *descriptors, int count, uint64_t timeout_ns) {
    struct pollfd polled[64];
    if (count > 64) count = 64;
    for (int i = 0; i < count; i++) polled[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u)};
    int ready = ppoll(polled, (nfds_t)count, &timeout, NULL);
    return ready < 0 ? 0 : ready;
}

const char *vr_processor_wanted(void) {
#if defined(__x86_64__) && defined(VR_PROCESSOR)
    const char *wanted = VR_PROCESSOR;
    if (strcmp(wanted, "x86-64-v2") == 0) return __builtin_cpu_supports("x86-64-v2") ? NULL : wanted;
    if (strcmp(wanted, "x86-64-v3") == 0) return __builtin_cpu_supports("x86-64-v3") ? NULL : wanted;
    if (strcmp(wanted, "x86-64-v4") == 0) return __builtin_cpu_supports("x86-64-v4") ? NULL : wanted;
#endif
    return NULL;
}
