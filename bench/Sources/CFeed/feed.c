// A DPDK plugin that makes `net_null` a packet generator and a counting sink, in whatever DPDK program loads it (EAL argument -d): dpdk-testpmd,
// ovs-vswitchd, and ours. All of them then receive the same octets through the same driver, and are timed by the same code.
//
// It uses DPDK's public callbacks alone. After net_null0 has allocated a burst of mbufs, the callback copies the next frames of a trace into them and, at
// the end of every window, writes down what the window took. Before a port sends a burst, the callback counts it and keeps the first packets.
// net_null0 is the port that receives; others are given `no-rx=1`.
//
// Environment: VRFEED_TRACE, the file to replay (vb_trace), or "none" to count and time only; VRFEED_OUT, where to write (vb_feed, made here); VRFEED_WINDOW, packets of a window;
// VRFEED_PASSES, how often the trace is replayed, after which nothing is received any more (not set: without end); VRFEED_DELAY, milliseconds from when the ports are there to the
// first packet of the trace (Open vSwitch drops some while it makes the ports known to itself; until then the program receives net_null's own packets, zeros).
//
// Thread-safety: one thread receives from net_null0, one thread sends on each port, which may be the same one. Ports are sampled by whoever comes first.
#include <fcntl.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "cbench.h"

static const uint8_t *trace;
static const vb_frame *frames;
static uint32_t frame_count, next_frame;
static vb_feed *feed;
static uint64_t window_start, window_packets, window_time;
// Packets that are still to be received.
static uint64_t left = UINT64_MAX;
// Milliseconds.
static uint64_t delay;
static vb_counters window_counters;
static __thread vb_counter_group counters;
static __thread int counters_tried;

// Nanoseconds that the calling thread has had a core.
static uint64_t thread_time(void) {
    struct timespec time = {0, 0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void end_window(void) {
    vb_counters now = {0, 0};
    if (!counters_tried) {
        counters_tried = 1;
        vb_counters_open(&counters);
    }
    feed->has_counters = vb_counters_read(&counters, &now) == 0;
    uint64_t tsc = rte_rdtsc(), time = thread_time();
    // The very first window began before there was a clock.
    if (window_start) {
        size_t at = feed->window_count % VB_WINDOW_COUNT;
        feed->windows[at].tsc = tsc - window_start;
        feed->windows[at].packets = window_packets;
        feed->windows[at].thread_ns = time - window_time;
        feed->windows[at].counters.instructions = now.instructions - window_counters.instructions;
        feed->windows[at].counters.cycles = now.cycles - window_counters.cycles;
        __atomic_store_n(&feed->window_count, feed->window_count + 1, __ATOMIC_RELEASE);
    }
    window_packets = 0;
    window_counters = now;
    window_time = time;
    window_start = rte_rdtsc();
}

static void fill(struct rte_mbuf *packets[], uint16_t count) {
    uint32_t at = next_frame;
    for (uint16_t i = 0; i < count; i++) {
        const vb_frame frame = frames[at];
        if (++at == frame_count) at = 0;
        rte_memcpy(rte_pktmbuf_mtod(packets[i], void *), trace + (size_t)frame.offset * 64, frame.length);
        packets[i]->data_len = (uint16_t)frame.length;
        packets[i]->pkt_len = frame.length;
    }
    rte_prefetch0(trace + (size_t)frames[at].offset * 64);
    next_frame = at;
}

static uint16_t received(uint16_t port, uint16_t queue, struct rte_mbuf *packets[], uint16_t count, uint16_t limit, void *unused) {
    (void)port, (void)queue, (void)limit, (void)unused;
    if (count > left) {
        rte_pktmbuf_free_bulk(packets + left, (unsigned)(count - left));
        count = (uint16_t)left;
    }
    left -= count;
    if (count == 0) return 0;
    if (frame_count > 0) fill(packets, count);
    feed->received += count;
    window_packets += count;
    if (window_packets >= feed->window) end_window();
    return count;
}

static void keep(const struct rte_mbuf *packet) {
    const uint8_t *octets = rte_pktmbuf_mtod(packet, const uint8_t *);
    // net_null's own packets are zeros; a few are received before the trace begins.
    if (packet->data_len < 14 || packet->data_len > VB_SAMPLE_SIZE || (octets[12] | octets[13]) == 0) return;
    memcpy(feed->samples[feed->sample_count], octets, packet->data_len);
    feed->sample_length[feed->sample_count] = packet->data_len;
    __atomic_store_n(&feed->sample_count, feed->sample_count + 1, __ATOMIC_RELEASE);
}

static uint16_t transmitted(uint16_t port, uint16_t queue, struct rte_mbuf *packets[], uint16_t count, void *unused) {
    (void)port, (void)queue, (void)unused;
    uint64_t octets = 0;
    for (uint16_t i = 0; i < count; i++) octets += packets[i]->pkt_len;
    if (feed->sample_count < VB_SAMPLE_COUNT && feed->received > 0)
        for (uint16_t i = 0; i < count && feed->sample_count < VB_SAMPLE_COUNT; i++) keep(packets[i]);
    feed->transmitted += count;
    feed->transmitted_bytes += octets;
    return count;
}

// Puts the callbacks in once the program has configured its ports, and goes on looking: Open vSwitch configures a port again, with more queues.
static void *attach(void *unused) {
    (void)unused;
    uint16_t transmit_queues[RTE_MAX_ETHPORTS] = {0};
    uint64_t ready = 0;
    for (int feeds = 0;; usleep(200)) {
        uint16_t port, input = RTE_MAX_ETHPORTS;
        int counted = 0;
        RTE_ETH_FOREACH_DEV(port) {
            char name[RTE_ETH_NAME_MAX_LEN];
            struct rte_eth_dev_info information;
            if (rte_eth_dev_get_name_by_port(port, name) != 0 || strncmp(name, "net_null", 8) != 0) continue;
            if (rte_eth_dev_info_get(port, &information) != 0 || information.nb_rx_queues == 0) continue;
            while (transmit_queues[port] < information.nb_tx_queues && rte_eth_add_tx_callback(port, transmit_queues[port], transmitted, NULL))
                transmit_queues[port]++;
            if (strcmp(name, "net_null0") == 0) input = port;
            if (transmit_queues[port] > 0) counted++;
        }
        if (counted < 2 || input == RTE_MAX_ETHPORTS) continue;
        if (!ready) ready = rte_rdtsc();
        // Packets come last: not one may be sent uncounted.
        if (!feeds && rte_rdtsc() - ready >= delay * (rte_get_tsc_hz() / 1000)) feeds = rte_eth_add_rx_callback(input, 0, received, NULL) != NULL;
    }
    return NULL;
}

static void refuse(const char *what, const char *path) {
    fprintf(stderr, "vrfeed: %s %s\n", what, path ? path : "(not set)");
    exit(1);
}

static void open_trace(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0 || (size_t)status.st_size < sizeof(vb_trace)) refuse("cannot read the trace", path);
    trace = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    close(file);
    if (trace == MAP_FAILED) refuse("cannot map the trace", path);
    const vb_trace *header = (const vb_trace *)trace;
    if (header->magic != VB_TRACE_MAGIC || header->size != (uint64_t)status.st_size || header->count == 0) refuse("not a trace:", path);
    frames = (const vb_frame *)(header + 1);
    frame_count = header->count;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("VRFEED_TRACE"), *out = getenv("VRFEED_OUT"), *window = getenv("VRFEED_WINDOW"), *passes = getenv("VRFEED_PASSES"), *wait = getenv("VRFEED_DELAY");
    if (!path) return;
    if (strcmp(path, "none") != 0) open_trace(path);
    if (wait) delay = strtoull(wait, NULL, 10);
    if (passes && frame_count > 0) left = strtoull(passes, NULL, 10) * frame_count;
    int target = open(out ? out : "", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (target < 0 || ftruncate(target, sizeof(vb_feed)) != 0) refuse("cannot write", out);
    feed = mmap(NULL, sizeof(vb_feed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, target, 0);
    close(target);
    if (feed == MAP_FAILED) refuse("cannot map", out);
    feed->window = window ? strtoull(window, NULL, 10) : 65536;
    pthread_t thread;
    if (pthread_create(&thread, NULL, attach, NULL) != 0) refuse("cannot start a thread for", path);
    pthread_detach(thread);
}
