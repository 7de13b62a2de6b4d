// EAL: started once per process, and made known to the threads that use it.
#ifdef VR_DPDK
#include "internal.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__thread int vr_dpdk_thread_known;
static pthread_key_t ending;
static int started;

static void forget_thread(void *value) {
    (void)value;
    rte_thread_unregister();
}

// A thread that cannot be registered (more than RTE_MAX_LCORE) works without a mempool cache: slower, not wrong.
void vr_dpdk_register_thread(void) {
    if (!started) return;
    vr_dpdk_thread_known = 1;
    if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0) pthread_setspecific(ending, &started);
}

int vr_dpdk_start(int count, const char *const *arguments, vr_dpdk_failed *failed) {
    // EAL keeps pointers into the arguments, and reorders the array.
    char **argv = calloc((size_t)count + 2, sizeof *argv);
    if (!argv || pthread_key_create(&ending, forget_thread) != 0) {
        vr_dpdk_log_fail(failed, ENOMEM, "EAL cannot be started");
        return -1;
    }
    argv[0] = strdup("vrouter");
    int is_verbose = 0;
    for (int i = 0; i < count; i++) {
        argv[i + 1] = strdup(arguments[i]);
        is_verbose |= strncmp(arguments[i], "--log-level", strlen("--log-level")) == 0;
    }
    vr_dpdk_log_open(is_verbose);
    vr_dpdk_log_hold();
    cpu_set_t before;
    int kept = sched_getaffinity(0, sizeof before, &before) == 0;
    int result = rte_eal_init(count + 1, argv);
    int code = rte_errno;
    if (kept) sched_setaffinity(0, sizeof before, &before);
    if (result < 0) {
        vr_dpdk_log_fail(failed, code, "EAL does not start");
        return -1;
    }
    vr_dpdk_log_pass();
    started = 1;
    return 0;
}

static uint64_t read_number(const char *path) {
    unsigned long long value = 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    if (fscanf(file, "%llu", &value) != 1) value = 0;
    fclose(file);
    return value;
}

uint64_t vr_dpdk_free_hugepages(void) {
    static const char directory[] = "/sys/kernel/mm/hugepages";
    uint64_t octets = 0;
    DIR *sizes = opendir(directory);
    if (!sizes) return 0;
    for (struct dirent *entry; (entry = readdir(sizes));) {
        unsigned long long kib;
        char path[sizeof directory + sizeof entry->d_name + 20];
        if (sscanf(entry->d_name, "hugepages-%llukB", &kib) != 1) continue;
        snprintf(path, sizeof path, "%s/%s/free_hugepages", directory, entry->d_name);
        octets += read_number(path) * kib * 1024;
    }
    closedir(sizes);
    return octets;
}
#endif
