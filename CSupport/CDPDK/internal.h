// Shared by the .c files of this target.
#ifndef VR_DPDK_INTERNAL_H
#define VR_DPDK_INTERNAL_H

#include <rte_config.h>
#include <rte_mbuf.h>
#include "vr_dpdk.h"

// While held, what DPDK logs is kept, to become the text of an error; else it goes to standard error. Not verbose: warnings and
// worse alone, and not those of operations that went well.
void vr_dpdk_log_open(int is_verbose);
void vr_dpdk_log_hold(void);
// What the calling thread logs is dropped, unless verbose.
void vr_dpdk_log_mute(int is_muted);
// Ends holding after success.
void vr_dpdk_log_pass(void);
// Ends holding: describes the failure with `code` (a negative or positive errno value), `what` and what was kept.
void vr_dpdk_log_fail(vr_dpdk_failed *failed, int code, const char *what);

// The pool of AF_XDP, made when it is first needed: the kernel takes buffers of a page at most. NULL: no memory.
struct rte_mempool *vr_dpdk_xdp_pool(void);

// A function of a driver that EAL has loaded as a plugin; NULL: it is not loaded, or has none of that name.
void *vr_dpdk_driver_symbol(const char *library, const char *name);

// What a bond joins, and the watch over it (bond.c).
typedef struct vr_dpdk_member {
    uint16_t id;
    int descriptor;        // of net_tap; else -1
    char interface[16];    // kernel interface; empty: none
} vr_dpdk_member;
typedef struct vr_dpdk_bond {
    uint16_t id;
    int count, is_watched;
    void *primary_get, *primary_set;
    vr_dpdk_member members[VR_DPDK_MAX_MEMBERS];
} vr_dpdk_bond;
void vr_dpdk_member_describe(uint16_t id, vr_dpdk_member *member);
void vr_dpdk_bond_watch(uint16_t id, vr_dpdk_bond *bond);
void vr_dpdk_bond_forget(vr_dpdk_bond *bond);
int vr_dpdk_bond_is_up(const vr_dpdk_bond *bond);

// Transmit queues that a guest may enable and disable while we run (vhost.c).
enum { VR_DPDK_MAX_QUEUES = 64 };
typedef struct vr_dpdk_queues {
    int count, is_watched;
    uint64_t enabled;
    void *next_event;
    uint16_t turned_to[VR_DPDK_MAX_QUEUES];
    // Two workers may be turned to one queue.
    uint8_t taken[VR_DPDK_MAX_QUEUES];
} vr_dpdk_queues;
void vr_dpdk_vhost_watch(uint16_t port, vr_dpdk_queues *queues);
void vr_dpdk_vhost_forget(uint16_t port, vr_dpdk_queues *queues);

// What is left to a device to cut, and what it hands over uncut (offload.c).
struct rte_eth_dev_info;
struct rte_eth_conf;
typedef struct vr_dpdk_offload {
    int cuts, hands_uncut;
    // The IPv4 header's checksum is the device's, too.
    int finishes_ipv4;
    // What net_tap's software can cut; 0: whatever the driver's rte_eth_tx_prepare lets pass.
    uint32_t longest_segment;
    // Frames that were left to the device to cut.
    uint64_t uncut;
    // Of net_vhost: whether the guest that is there takes them, which may change at every connection.
    int is_guests, is_watched, is_agreed;
    int (*get_vid)(uint16_t);
    int (*get_features)(int, uint64_t *);
} vr_dpdk_offload;
// Adds to `conf` what of it the device can do. `room`: octets of a buffer; `wants_segments`: net_vhost was given tso=1.
void vr_dpdk_offload_ask(
    const char *driver, const struct rte_eth_dev_info *info, int room, int wants_segments, struct rte_eth_conf *conf, vr_dpdk_offload *offload);
void vr_dpdk_offload_watch(uint16_t port, vr_dpdk_offload *offload);
void vr_dpdk_offload_forget(uint16_t port, vr_dpdk_offload *offload);
// Once the MTU is known.
void vr_dpdk_offload_settle(uint16_t port, const char *driver, vr_dpdk_offload *offload);
// Says in the mbuf that it is to be cut into segments of `size` octets of data, or less. 0: it is no TCP packet that this device can cut.
int vr_dpdk_offload_describe(const vr_dpdk_offload *offload, struct rte_mbuf *m, uint32_t size);

// What keeps bursts away from a device while it is stopped and started (memif.c), and for good once it is closed.
typedef struct vr_dpdk_gate {
    uint16_t id;
    int is_there, is_started, turns;
    int is_shut, inside;
} vr_dpdk_gate;
void vr_dpdk_gate_start(uint16_t id, vr_dpdk_gate *gate);
void vr_dpdk_gate_end(vr_dpdk_gate *gate);
static inline int vr_dpdk_gate_enter(vr_dpdk_gate *gate) {
    __atomic_fetch_add(&gate->inside, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&gate->is_shut, __ATOMIC_SEQ_CST)) return 1;
    __atomic_fetch_sub(&gate->inside, 1, __ATOMIC_SEQ_CST);
    return 0;
}
static inline void vr_dpdk_gate_leave(vr_dpdk_gate *gate) { __atomic_fetch_sub(&gate->inside, 1, __ATOMIC_SEQ_CST); }

void vr_dpdk_register_thread(void);
extern __thread int vr_dpdk_thread_known;
static inline void vr_dpdk_know_thread(void) {
    if (__builtin_expect(!vr_dpdk_thread_known, 0)) vr_dpdk_register_thread();
}

static inline void vr_dpdk_describe(struct rte_mbuf *m, vr_frame *frame) {
    frame->buffer = m;
    frame->data = rte_pktmbuf_mtod(m, uint8_t *);
    frame->length = m->data_len;
    frame->headroom = m->data_off;
    frame->tailroom = (uint32_t)m->buf_len - m->data_off - m->data_len;
    frame->hash = m->ol_flags & RTE_MBUF_F_RX_RSS_HASH ? m->hash.rss : 0;
}

#endif
