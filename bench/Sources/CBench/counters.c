// The processor's own counters, by perf_event_open(2).
#include "include/cbench.h"
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_counter(uint64_t config, int group) {
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.config = config;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    attributes.read_format = PERF_FORMAT_GROUP;
    return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, group, PERF_FLAG_FD_CLOEXEC);
}

int vb_counters_open(vb_counter_group *group) {
    group->member = -1;
    group->leader = open_counter(PERF_COUNT_HW_INSTRUCTIONS, -1);
    if (group->leader >= 0) group->member = open_counter(PERF_COUNT_HW_CPU_CYCLES, group->leader);
    if (group->member >= 0) return 0;
    vb_counters_close(group);
    return -1;
}

int vb_counters_read(const vb_counter_group *group, vb_counters *out) {
    uint64_t values[3];
    if (group->leader < 0 || read(group->leader, values, sizeof values) != (ssize_t)sizeof values || values[0] != 2) return -1;
    out->instructions = values[1];
    out->cycles = values[2];
    return 0;
}

void vb_counters_close(vb_counter_group *group) {
    if (group->leader >= 0) close(group->leader);
    if (group->member >= 0) close(group->member);
    group->leader = group->member = -1;
}

uint64_t vb_resident(void) {
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

const void *vb_map(const char *path, size_t size) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return NULL;
    void *address = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    return address == MAP_FAILED ? NULL : address;
}

void vb_unmap(const void *address, size_t size) { munmap((void *)address, size); }

__attribute__((noinline)) void vb_measured(void (*body)(void *), void *context) {
    body(context);
    // No jump: it has to come back here.
    __asm__ volatile("" ::: "memory");
}
