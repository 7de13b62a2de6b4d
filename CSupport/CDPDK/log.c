// DPDK reports the reason of a failure only in its log: kept here while an operation runs, so that the error can tell it.
#ifdef VR_DPDK
#include "internal.h"
#include <pthread.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char kept[2048];
static size_t kept_size;
static int holding;
static int verbose;
static __thread int muted;

static ssize_t take(void *cookie, const char *text, size_t size) {
    (void)cookie;
    if (muted && !verbose) return (ssize_t)size;
    pthread_mutex_lock(&lock);
    if (holding) {
        // The last lines tell most: the oldest make room.
        size_t added = size < sizeof kept ? size : sizeof kept;
        if (kept_size + added > sizeof kept) {
            size_t dropped = kept_size + added - sizeof kept;
            memmove(kept, kept + dropped, kept_size - dropped);
            kept_size -= dropped;
        }
        memcpy(kept + kept_size, text + size - added, added);
        kept_size += added;
    } else {
        fwrite(text, 1, size, stderr);
    }
    pthread_mutex_unlock(&lock);
    return (ssize_t)size;
}

void vr_dpdk_log_open(int is_verbose) {
    verbose = is_verbose;
    if (!verbose) rte_log_set_global_level(RTE_LOG_WARNING);
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take});
    if (!stream) return;
    setvbuf(stream, NULL, _IOLBF, 1024);
    rte_openlog_stream(stream);
}

void vr_dpdk_log_mute(int is_muted) { muted = is_muted; }

void vr_dpdk_log_hold(void) {
    pthread_mutex_lock(&lock);
    holding = 1;
    kept_size = 0;
    pthread_mutex_unlock(&lock);
}

void vr_dpdk_log_pass(void) {
    pthread_mutex_lock(&lock);
    holding = 0;
    // Drivers complain of much that does not hinder them (net_tap: no flow rules in this kernel): for those who asked.
    if (verbose) fwrite(kept, 1, kept_size, stderr);
    pthread_mutex_unlock(&lock);
}

void vr_dpdk_log_fail(vr_dpdk_failed *failed, int code, const char *what) {
    failed->code = code < 0 ? -code : code;
    size_t used = (size_t)snprintf(failed->text, sizeof failed->text, "%s", what);
    if (failed->code && used < sizeof failed->text)
        used += (size_t)snprintf(failed->text + used, sizeof failed->text - used, ": %s", strerror(failed->code));
    if (used >= sizeof failed->text) used = sizeof failed->text - 1;
    pthread_mutex_lock(&lock);
    holding = 0;
    // "; " for each line's end; the end of what was kept when not all fits.
    size_t from = 0, room = sizeof failed->text - used - 3;
    if (kept_size * 2 > room) from = kept_size > room / 2 ? kept_size - room / 2 : 0;
    int separate = 1;
    for (size_t i = from; i < kept_size && used + 3 < sizeof failed->text; i++) {
        if (kept[i] == '\n') { separate = 1; continue; }
        if (separate) { failed->text[used++] = ';'; failed->text[used++] = ' '; separate = 0; }
        failed->text[used++] = kept[i];
    }
    failed->text[used] = 0;
    pthread_mutex_unlock(&lock);
}
#endif
