// DPDK behind plain structures. rte_*.h is included by the .c files alone: its flags (-march, rte_config.h) must not leak to
// Swift, and the importer skips structs aligned to more than 16 octets, rte_mbuf and rte_mempool among them. Every call moves
// a burst: rte_eth_rx_burst → vr_frame, vr_frame → rte_eth_tx_burst. Without VR_DPDK the .c files are empty.
//
// Threads: the burst and pool calls may be made by any thread; one that EAL does not know is registered with it at its first
// call (rte_thread_register), so that it has a mempool cache, and unregistered when it ends. The others: one thread at a time.
#ifndef VR_DPDK_H
#define VR_DPDK_H

#include <stddef.h>
#include <stdint.h>
#include <platform.h>

enum { VR_DPDK_TEXT_SIZE = 768, VR_DPDK_NAME_SIZE = 64, VR_DPDK_MAX_MEMBERS = 8 };

// Why something failed: a positive errno value, or 0, and what DPDK logged about it.
typedef struct vr_dpdk_failed {
    int code;
    char text[VR_DPDK_TEXT_SIZE];
} vr_dpdk_failed;

// EAL, once per process. `arguments` without the program's name. The calling thread's affinity is left as it was. Without a
// --log-level among them, DPDK logs warnings and worse, and not those of operations that went well.
// 0, or -1 with the reason; a second attempt after a failure is not possible.
int vr_dpdk_start(int count, const char *const *arguments, vr_dpdk_failed *failed);
// Octets of hugepages that are free.
uint64_t vr_dpdk_free_hugepages(void);

// The buffer pool: a mempool of mbufs. `size`: octets of a buffer, RTE_PKTMBUF_HEADROOM included, at most 65535.
typedef struct vr_dpdk_pool vr_dpdk_pool;
vr_dpdk_pool *vr_dpdk_pool_create(unsigned count, unsigned size, vr_dpdk_failed *failed);
int vr_dpdk_allocate(vr_dpdk_pool *pool, vr_frame *frames, int count);
void vr_dpdk_release(const vr_frame *frames, int count);
unsigned vr_dpdk_in_use(const vr_dpdk_pool *pool);
// Octets that a driver leaves before a received frame.
int vr_dpdk_headroom(void);

typedef struct vr_dpdk_port vr_dpdk_port;

typedef struct vr_dpdk_request {
    const char *device;    // PCI address, or vdev name and arguments
    const char *const *members;    // devices to plug in before it: what net_bonding joins
    int member_count;
    vr_dpdk_pool *pool;
    int wants_segments;    // TCP packets may be left to net_vhost's guest to cut, and come from it uncut
    int waits_for_peer;    // it cannot be started until there is a peer (the client of a memif): tried until it can
    int mtu;               // 0: as the device has it
    int queues;
    int headroom;          // least octets before a received frame
} vr_dpdk_request;

// What the device turned out to be.
typedef struct vr_dpdk_facts {
    char driver[VR_DPDK_NAME_SIZE];       // "net_tap", "net_ixgbe"
    char interface[VR_DPDK_NAME_SIZE];    // kernel interface behind it; empty: none
    int mtu, queues, hashes;
    int cuts;           // frames with VR_SEGMENTED may be transmitted, by vr_dpdk_transmit_uncut, unless vr_dpdk_port_is_to_be_cut_for
    int gains_by_joining;    // what it cuts may never have to be cut: segments are worth being joined for it
    int hands_uncut;    // received TCP packets may be longer than the MTU
    int failed_member;    // on failure: the member that could not be plugged in; -1: it was another reason
} vr_dpdk_facts;

typedef struct vr_dpdk_link {
    int is_up;
    uint32_t speed;    // Mbit/s; 0: not known
} vr_dpdk_link;

typedef struct vr_dpdk_counters {
    uint64_t received_packets, received_bytes, receive_missed, receive_errors;
    uint64_t transmitted_packets, transmitted_bytes, transmit_errors;
    uint64_t transmitted_uncut;    // frames that were left to the device to cut
} vr_dpdk_counters;

// Plugs the device in (unless EAL found it at start), configures and starts it, promiscuous. NULL on failure, with the reason.
vr_dpdk_port *vr_dpdk_port_open(const vr_dpdk_request *request, vr_dpdk_facts *facts, vr_dpdk_failed *failed);
int vr_dpdk_receive(vr_dpdk_port *port, int queue, vr_frame *frames, int count);
// Returns how many were taken, from the front; of these, frames that the device cannot carry are counted as errors.
int vr_dpdk_transmit(vr_dpdk_port *port, int queue, const vr_frame *frames, int count);
// The same for a port that cuts: frames may have VR_SEGMENTED. `is_to_be_cut`: the first frame that was not taken is one that the device does not take as it is;
// it, cut, and those behind it may be sent at once.
int vr_dpdk_transmit_uncut(vr_dpdk_port *port, int queue, const vr_frame *frames, int count, int *is_to_be_cut);
// Of a port that cuts: whether at this moment the other side does not, so that frames are to be cut before they are transmitted.
int vr_dpdk_port_is_to_be_cut_for(const vr_dpdk_port *port);
// The link as the driver sees it; for net_vhost and net_memif: whether the other side is connected. 0 or a negative errno value.
int vr_dpdk_port_link(const vr_dpdk_port *port, vr_dpdk_link *out);
void vr_dpdk_port_counters(vr_dpdk_port *port, vr_dpdk_counters *out);
// The descriptor behind an interface that net_tap made, the driver's own; -1: there is none. And whether the interface is up.
int vr_dpdk_tap_descriptor(const char *interface);
int vr_dpdk_tap_is_up(int descriptor);
// Stops and unplugs the device; it can be opened again. Bursts of this port move nothing from then on. Every other call but vr_dpdk_port_free is over.
void vr_dpdk_port_close(vr_dpdk_port *port);
// After closing.
void vr_dpdk_port_free(vr_dpdk_port *port);

#endif
