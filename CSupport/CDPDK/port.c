// An ethdev port: plugged in, used, unplugged, while others run.
#ifdef VR_DPDK
#include "internal.h"
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 1024, LONGEST_FRAME = 65535 + 22 };

struct vr_dpdk_port {
    uint16_t id;
    uint16_t headroom;
    // Longest frame that may be given to the driver; net_af_xdp copies without looking at the room.
    uint32_t longest;
    // Every mbuf must be of `pool` (MBUF_FAST_FREE); others exist once there is an AF_XDP port.
    int wants_own;
    struct rte_mempool *pool;
    uint64_t unusable;    // received frames that fit no buffer
    uint64_t refused;     // frames to transmit that the device cannot carry
    vr_dpdk_queues queues;
    vr_dpdk_gate gate;
    vr_dpdk_bond bond;
    vr_dpdk_offload offload;
};

// Ports of ours, by ethdev number.
static vr_dpdk_port *open_ports[RTE_MAX_ETHPORTS];

static int find(const char *device, uint16_t *id) {
    char name[RTE_ETH_NAME_MAX_LEN];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(device, ","), device);
    if (rte_eth_dev_get_port_by_name(name, id) == 0) return 1;
    // A PCI address may be written without its domain, and a port of a PCI device may have a name of its own.
    uint16_t other;
    RTE_ETH_FOREACH_DEV(other) {
        struct rte_eth_dev_info info;
        if (rte_eth_dev_info_get(other, &info) != 0 || !info.device) continue;
        const char *known = rte_dev_name(info.device);
        size_t length = strlen(known), asked = strlen(name);
        if (strcmp(known, name) == 0 || (length == asked + 5 && strncmp(known, "0000:", 5) == 0 && strcmp(known + 5, name) == 0)) {
            *id = other;
            return 1;
        }
    }
    return 0;
}

static int is_virtual(const struct rte_eth_dev_info *info) { return strcmp(rte_bus_name(rte_dev_bus(info->device)), "vdev") == 0; }

// net_tap holds one mbuf per descriptor, all of them parts of the one frame it reads next. A bond passes its own number on to its members.
static int is_tap(uint16_t id) {
    struct rte_eth_dev_info info;
    return rte_eth_dev_info_get(id, &info) == 0 && info.driver_name && strcmp(info.driver_name, "net_tap") == 0;
}

static int configure(vr_dpdk_port *port, const vr_dpdk_request *request, vr_dpdk_facts *facts, const char **what) {
    struct rte_eth_dev_info info;
    *what = "the device does not tell what it is";
    int result = rte_eth_dev_info_get(port->id, &info);
    if (result != 0) return result;
    snprintf(facts->driver, sizeof facts->driver, "%s", info.driver_name ? info.driver_name : "ethdev");
    char interface[IF_NAMESIZE];
    if (info.if_index != 0 && if_indextoname(info.if_index, interface)) snprintf(facts->interface, sizeof facts->interface, "%s", interface);
    int is_vdev = is_virtual(&info);

    struct rte_mempool *receive_pool = port->pool;
    if (strcmp(facts->driver, "net_af_xdp") == 0) {
        *what = "there is no memory for the buffers of AF_XDP (EAL's -m)";
        receive_pool = vr_dpdk_xdp_pool();
        if (!receive_pool) return -rte_errno;
        port->longest = (uint32_t)(rte_pktmbuf_data_room_size(receive_pool) - RTE_PKTMBUF_HEADROOM);
    }

    uint16_t queues = (uint16_t)(request->queues > 0 ? request->queues : 1);
    if (queues > info.max_rx_queues) queues = info.max_rx_queues;
    if (queues > info.max_tx_queues) queues = info.max_tx_queues;
    if (queues == 0) queues = 1;
    facts->queues = queues;

    struct rte_eth_conf conf = {0};
    uint64_t hash = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
    if (queues > 1 && hash != 0 && !is_vdev) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hash;
        conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
        facts->hashes = conf.rxmode.offloads != 0;
    }
    int room = rte_pktmbuf_data_room_size(port->pool) - RTE_PKTMBUF_HEADROOM;
    if (!is_vdev && request->mtu > 0) {
        conf.rxmode.mtu = (uint32_t)request->mtu;
        if (request->mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * RTE_VLAN_HLEN > room)
            conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    }
    // Buffers have one owner, and but for AF_XDP's come from one pool. A bond has no pool of its own to compare with.
    if (!is_vdev) conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    port->wants_own = conf.txmode.offloads != 0;
    vr_dpdk_offload_ask(facts->driver, &info, room, request->wants_segments, &conf, &port->offload);
    facts->cuts = port->offload.cuts;
    facts->gains_by_joining = port->offload.cuts && !port->offload.finishes_ipv4;
    facts->hands_uncut = port->offload.hands_uncut;
    *what = "the device cannot be configured";
    result = rte_eth_dev_configure(port->id, queues, queues, &conf);
    if (result != 0) return result;

    uint16_t receive_size = DESCRIPTORS, transmit_size = DESCRIPTORS;
    int has_tap = is_tap(port->id);
    for (int i = 0; i < port->bond.count; i++) has_tap |= is_tap(port->bond.members[i].id);
    if (has_tap) receive_size = (uint16_t)(LONGEST_FRAME / room + 1);
    result = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &receive_size, &transmit_size);
    if (result != 0) return result;
    int node = rte_eth_dev_socket_id(port->id);
    for (uint16_t queue = 0; queue < queues; queue++) {
        *what = "a receive queue cannot be set up";
        result = rte_eth_rx_queue_setup(port->id, queue, receive_size, (unsigned)node, NULL, receive_pool);
        if (result != 0) return result;
        *what = "a transmit queue cannot be set up";
        result = rte_eth_tx_queue_setup(port->id, queue, transmit_size, (unsigned)node, NULL);
        if (result != 0) return result;
    }
    // Most vdevs know no MTU; where one does, it is told. (net_af_packet passes longer frames than it says it does.)
    if (is_vdev && request->mtu > 0 && strcmp(facts->driver, "net_af_packet") != 0) rte_eth_dev_set_mtu(port->id, (uint16_t)request->mtu);
    port->queues.count = queues;
    if (strcmp(facts->driver, "net_vhost") == 0) vr_dpdk_vhost_watch(port->id, &port->queues);
    vr_dpdk_offload_watch(port->id, &port->offload);
    *what = "the device cannot be started";
    if (request->waits_for_peer) {
        vr_dpdk_gate_start(port->id, &port->gate);
    } else {
        result = rte_eth_dev_start(port->id);
        if (result != 0) return result;
    }
    if (port->bond.count > 0) vr_dpdk_bond_watch(port->id, &port->bond);
    // net_bonding forwards it to the member in use alone.
    for (int i = 0; i < port->bond.count; i++) rte_eth_promiscuous_enable(port->bond.members[i].id);
    // Either may be unsupported: then the device hands over everything anyway, as vdevs do.
    rte_eth_promiscuous_enable(port->id);
    rte_eth_allmulticast_enable(port->id);
    uint16_t mtu = 0;
    facts->mtu = rte_eth_dev_get_mtu(port->id, &mtu) == 0 ? mtu : 0;
    vr_dpdk_offload_settle(port->id, facts->driver, &port->offload);
    return 0;
}

static void unplug(uint16_t id) {
    struct rte_eth_dev_info info;
    struct rte_device *device = rte_eth_dev_info_get(id, &info) == 0 ? info.device : NULL;
    rte_eth_dev_stop(id);
    rte_eth_dev_close(id);
    if (!device) return;
    uint16_t other;
    // A PCI device may have several ports: it goes with the last.
    RTE_ETH_FOREACH_DEV(other) {
        if (rte_eth_dev_info_get(other, &info) == 0 && info.device == device) return;
    }
    rte_dev_remove(device);
}

// Finds the device, or plugs it in. -1 on failure, with the reason.
static int plug(const char *device, uint16_t *id, vr_dpdk_failed *failed) {
    int found = find(device, id);
    if (found && open_ports[*id]) {
        vr_dpdk_log_fail(failed, EBUSY, "another port has this device open");
        return -1;
    }
    if (found) return 0;
    int result = rte_dev_probe(device);
    if (result < 0) {
        vr_dpdk_log_fail(failed, result, "the device cannot be plugged in");
        return -1;
    }
    if (find(device, id)) return 0;
    vr_dpdk_log_fail(failed, ENODEV, "the device was plugged in but is no network device");
    return -1;
}

static void unplug_members(const vr_dpdk_port *port) {
    for (int i = port->bond.count; i-- > 0;) {
        open_ports[port->bond.members[i].id] = NULL;
        unplug(port->bond.members[i].id);
    }
}

vr_dpdk_port *vr_dpdk_port_open(const vr_dpdk_request *request, vr_dpdk_facts *facts, vr_dpdk_failed *failed) {
    memset(facts, 0, sizeof *facts);
    facts->failed_member = -1;
    vr_dpdk_log_hold();
    vr_dpdk_port *port = calloc(1, sizeof *port);
    if (!port || request->member_count > VR_DPDK_MAX_MEMBERS) {
        free(port);
        vr_dpdk_log_fail(failed, port ? E2BIG : ENOMEM, "the device cannot be opened");
        return NULL;
    }
    port->headroom = (uint16_t)request->headroom;
    port->longest = UINT32_MAX;
    port->pool = (struct rte_mempool *)request->pool;
    // The members first: a bond looks for them by name when it is configured.
    for (int i = 0; i < request->member_count; i++) {
        uint16_t member;
        if (plug(request->members[i], &member, failed) != 0) {
            facts->failed_member = i;
            unplug_members(port);
            free(port);
            return NULL;
        }
        open_ports[member] = port;
        vr_dpdk_member_describe(member, &port->bond.members[port->bond.count++]);
    }
    const char *what = "";
    int result = plug(request->device, &port->id, failed);
    if (result == 0 && (result = configure(port, request, facts, &what)) != 0) {
        vr_dpdk_bond_forget(&port->bond);
        vr_dpdk_vhost_forget(port->id, &port->queues);
        vr_dpdk_offload_forget(port->id, &port->offload);
        unplug(port->id);
        vr_dpdk_log_fail(failed, result, what);
    }
    if (result != 0) {
        unplug_members(port);
        free(port);
        return NULL;
    }
    open_ports[port->id] = port;
    vr_dpdk_log_pass();
    return port;
}

// One segment, in a buffer of its own, with the headroom promised, and with its VLAN tag. 0 when that cannot be.
static int make_usable(vr_dpdk_port *port, struct rte_mbuf **m) {
    if ((*m)->nb_segs > 1 && rte_pktmbuf_linearize(*m) != 0) return 0;
    if (((*m)->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) && rte_vlan_insert(m) != 0) return 0;
    unsigned headroom = rte_pktmbuf_headroom(*m);
    if (headroom >= port->headroom) return 1;
    unsigned shift = port->headroom - headroom;
    if (rte_pktmbuf_tailroom(*m) < shift) return 0;
    uint8_t *data = rte_pktmbuf_mtod(*m, uint8_t *);
    memmove(data + shift, data, (*m)->data_len);
    (*m)->data_off = (uint16_t)((*m)->data_off + shift);
    return 1;
}

int vr_dpdk_receive(vr_dpdk_port *port, int queue, vr_frame *frames, int count) {
    struct rte_mbuf *mbufs[VR_BURST];
    if (count > VR_BURST) count = VR_BURST;
    if (count <= 0) return 0;
    vr_dpdk_know_thread();
    if (__builtin_expect(port->gate.is_there, 0) && !vr_dpdk_gate_enter(&port->gate)) return 0;
    int received = rte_eth_rx_burst(port->id, (uint16_t)queue, mbufs, (uint16_t)count);
    if (__builtin_expect(port->gate.is_there, 0)) vr_dpdk_gate_leave(&port->gate);
    int filled = 0;
    for (int i = 0; i < received; i++) {
        struct rte_mbuf *m = mbufs[i];
        int is_plain = m->nb_segs == 1 && m->data_off >= port->headroom && !(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED);
        if (__builtin_expect(!is_plain, 0) && !make_usable(port, &m)) {
            rte_pktmbuf_free(m);
            __atomic_fetch_add(&port->unusable, 1, __ATOMIC_RELAXED);
            continue;
        }
        vr_dpdk_describe(m, &frames[filled++]);
    }
    return filled;
}

// A frame the driver must not be given as it is: too long for the device, or in a buffer of another pool. NULL: it is not sent.
static struct rte_mbuf *make_sendable(vr_dpdk_port *port, struct rte_mbuf *m) {
    struct rte_mbuf *copy = m->pkt_len > port->longest ? NULL : rte_pktmbuf_copy(m, port->pool, 0, UINT32_MAX);
    rte_pktmbuf_free(m);
    if (!copy) __atomic_fetch_add(&port->refused, 1, __ATOMIC_RELAXED);
    return copy;
}

static inline struct rte_mbuf *take(const vr_frame *frame) {
    struct rte_mbuf *m = frame->buffer;
    m->data_off = (uint16_t)(frame->data - (uint8_t *)m->buf_addr);
    m->data_len = (uint16_t)frame->length;
    m->pkt_len = frame->length;
    m->ol_flags = 0;
    return m;
}

static inline int is_sendable(const vr_dpdk_port *port, const struct rte_mbuf *m) {
    return m->pkt_len <= port->longest && (!port->wants_own || m->pool == port->pool);
}

static inline int send_burst(vr_dpdk_port *port, int queue, struct rte_mbuf **mbufs, int count) {
    int sent = 0;
    if (__builtin_expect(port->gate.is_there, 0)) {
        if (vr_dpdk_gate_enter(&port->gate)) {
            sent = rte_eth_tx_burst(port->id, (uint16_t)queue, mbufs, (uint16_t)count);
            vr_dpdk_gate_leave(&port->gate);
        }
    } else if (__builtin_expect(port->queues.is_watched, 0)) {
        int turned = __atomic_load_n(&port->queues.turned_to[queue], __ATOMIC_RELAXED);
        while (__atomic_test_and_set(&port->queues.taken[turned], __ATOMIC_ACQUIRE)) rte_pause();
        sent = rte_eth_tx_burst(port->id, (uint16_t)turned, mbufs, (uint16_t)count);
        __atomic_clear(&port->queues.taken[turned], __ATOMIC_RELEASE);
    } else {
        sent = rte_eth_tx_burst(port->id, (uint16_t)queue, mbufs, (uint16_t)count);
    }
    return sent;
}

int vr_dpdk_transmit(vr_dpdk_port *port, int queue, const vr_frame *frames, int count) {
    struct rte_mbuf *mbufs[VR_BURST];
    if (count > VR_BURST) count = VR_BURST;
    if (count <= 0) return 0;
    vr_dpdk_know_thread();
    int ready = 0;
    for (int i = 0; i < count; i++) {
        struct rte_mbuf *m = take(&frames[i]);
        if (__builtin_expect(!is_sendable(port, m), 0) && !(m = make_sendable(port, m))) continue;
        mbufs[ready++] = m;
    }
    int sent = send_burst(port, queue, mbufs, ready);
    if (__builtin_expect(ready == count, 1)) return sent;
    // Some are gone already, so the caller's order is lost: what the driver did not take goes, too.
    rte_pktmbuf_free_bulk(mbufs + sent, (unsigned)(ready - sent));
    __atomic_fetch_add(&port->refused, (uint64_t)(ready - sent), __ATOMIC_RELAXED);
    return count;
}

int vr_dpdk_transmit_uncut(vr_dpdk_port *port, int queue, const vr_frame *frames, int count, int *is_to_be_cut) {
    struct rte_mbuf *mbufs[VR_BURST];
    uint32_t marks = 0;
    *is_to_be_cut = 0;
    if (count > VR_BURST) count = VR_BURST;
    // A port that cuts has a gate once it is closed only.
    if (__builtin_expect(port->gate.is_there, 0)) return 0;
    for (int i = 0; i < count; i++) marks |= frames[i].tailroom;
    if (__builtin_expect(!(marks & VR_SEGMENTED), 1)) return vr_dpdk_transmit(port, queue, frames, count);
    vr_dpdk_know_thread();
    int ready = 0;
    for (; ready < count; ready++) {
        struct rte_mbuf *m = take(&frames[ready]);
        if (!is_sendable(port, m)) break;
        uint32_t mark = frames[ready].tailroom;
        if ((mark & VR_SEGMENTED) && !vr_dpdk_offload_describe(&port->offload, m, mark & ~VR_SEGMENTED)) break;
        mbufs[ready] = m;
    }
    // net_vhost has nothing to prepare, and its convention is another.
    if (!port->offload.is_guests && ready > 0) ready = rte_eth_tx_prepare(port->id, (uint16_t)queue, mbufs, (uint16_t)ready);
    int sent = ready > 0 ? send_burst(port, queue, mbufs, ready) : 0;
    *is_to_be_cut = sent == ready && ready < count;
    uint64_t uncut = 0;
    for (int i = 0; i < sent; i++) uncut += frames[i].tailroom >> 31;
    __atomic_fetch_add(&port->offload.uncut, uncut, __ATOMIC_RELAXED);
    return sent;
}

int vr_dpdk_port_is_to_be_cut_for(const vr_dpdk_port *port) {
    // Once it is closed nobody is there to cut for.
    return port->offload.is_guests && !port->gate.is_there && !__atomic_load_n(&port->offload.is_agreed, __ATOMIC_RELAXED);
}

int vr_dpdk_port_link(const vr_dpdk_port *port, vr_dpdk_link *out) {
    struct rte_eth_link link = {0};
    int result = rte_eth_link_get_nowait(port->id, &link);
    if (result != 0) return result;
    out->is_up = link.link_status == RTE_ETH_LINK_UP && (port->bond.count == 0 || vr_dpdk_bond_is_up(&port->bond));
    out->speed = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
    return 0;
}

void vr_dpdk_port_counters(vr_dpdk_port *port, vr_dpdk_counters *out) {
    struct rte_eth_stats stats;
    memset(out, 0, sizeof *out);
    uint64_t unusable = __atomic_load_n(&port->unusable, __ATOMIC_RELAXED);
    uint64_t refused = __atomic_load_n(&port->refused, __ATOMIC_RELAXED);
    out->receive_errors = unusable;
    out->transmit_errors = refused;
    out->transmitted_uncut = __atomic_load_n(&port->offload.uncut, __ATOMIC_RELAXED);
    if (rte_eth_stats_get(port->id, &stats) != 0) return;
    *out = (vr_dpdk_counters){
        .received_packets = stats.ipackets - unusable, .received_bytes = stats.ibytes,
        .receive_missed = stats.imissed + stats.rx_nombuf, .receive_errors = stats.ierrors + unusable,
        .transmitted_packets = stats.opackets, .transmitted_bytes = stats.obytes, .transmit_errors = stats.oerrors + refused,
        .transmitted_uncut = out->transmitted_uncut,
    };
}

// net_ring holds mbufs that nobody else would free.
static void drain(vr_dpdk_port *port, int queues) {
    struct rte_mbuf *mbufs[VR_BURST];
    for (int queue = 0; queue < queues; queue++)
        for (int left = 1 << 16; left > 0;) {
            int count = rte_eth_rx_burst(port->id, (uint16_t)queue, mbufs, VR_BURST);
            if (count == 0) break;
            rte_pktmbuf_free_bulk(mbufs, (unsigned)count);
            left -= count;
        }
}

void vr_dpdk_port_close(vr_dpdk_port *port) {
    struct rte_eth_dev_info info;
    if (rte_eth_dev_info_get(port->id, &info) == 0 && info.driver_name && strcmp(info.driver_name, "net_ring") == 0)
        drain(port, info.nb_rx_queues);
    open_ports[port->id] = NULL;
    vr_dpdk_gate_end(&port->gate);
    // A burst from now on finds the gate shut.
    port->gate.is_there = 1;
    __atomic_store_n(&port->gate.is_shut, 1, __ATOMIC_SEQ_CST);
    vr_dpdk_bond_forget(&port->bond);
    vr_dpdk_vhost_forget(port->id, &port->queues);
    vr_dpdk_offload_forget(port->id, &port->offload);
    unplug(port->id);
    unplug_members(port);
}

void vr_dpdk_port_free(vr_dpdk_port *port) { free(port); }
#endif
