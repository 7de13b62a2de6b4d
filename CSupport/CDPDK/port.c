// An ethdev port: plugged in, used, unplugged, while others run.
#ifdef VR_DPDK
#include "internal.h"
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 1024, LONGEST_FRAME = 65535 + 22 };

struct vr_dpdk_port {
    uint16_t id;
    uint16_t headroom;
    struct rte_mempool *pool;
    uint64_t unusable;    // received frames that fit no buffer
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

static int configure(vr_dpdk_port *port, const vr_dpdk_request *request, vr_dpdk_facts *facts, const char **what) {
    struct rte_eth_dev_info info;
    *what = "the device does not tell what it is";
    int result = rte_eth_dev_info_get(port->id, &info);
    if (result != 0) return result;
    snprintf(facts->driver, sizeof facts->driver, "%s", info.driver_name ? info.driver_name : "ethdev");
    char interface[IF_NAMESIZE];
    if (info.if_index != 0 && if_indextoname(info.if_index, interface)) snprintf(facts->interface, sizeof facts->interface, "%s", interface);
    int is_vdev = is_virtual(&info);

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
    // All buffers come from one pool and have one owner.
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    *what = "the device cannot be configured";
    result = rte_eth_dev_configure(port->id, queues, queues, &conf);
    if (result != 0) return result;

    uint16_t receive_size = DESCRIPTORS, transmit_size = DESCRIPTORS;
    // net_tap holds one mbuf per descriptor, all of them parts of the one frame it reads next.
    if (strcmp(facts->driver, "net_tap") == 0) receive_size = (uint16_t)(LONGEST_FRAME / room + 1);
    result = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &receive_size, &transmit_size);
    if (result != 0) return result;
    int node = rte_eth_dev_socket_id(port->id);
    for (uint16_t queue = 0; queue < queues; queue++) {
        *what = "a receive queue cannot be set up";
        result = rte_eth_rx_queue_setup(port->id, queue, receive_size, (unsigned)node, NULL, port->pool);
        if (result != 0) return result;
        *what = "a transmit queue cannot be set up";
        result = rte_eth_tx_queue_setup(port->id, queue, transmit_size, (unsigned)node, NULL);
        if (result != 0) return result;
    }
    // Most vdevs know no MTU; where one does, it is told. (net_af_packet passes longer frames than it says it does.)
    if (is_vdev && request->mtu > 0 && strcmp(facts->driver, "net_af_packet") != 0) rte_eth_dev_set_mtu(port->id, (uint16_t)request->mtu);
    *what = "the device cannot be started";
    result = rte_eth_dev_start(port->id);
    if (result != 0) return result;
    // Either may be unsupported: then the device hands over everything anyway, as vdevs do.
    rte_eth_promiscuous_enable(port->id);
    rte_eth_allmulticast_enable(port->id);
    uint16_t mtu = 0;
    facts->mtu = rte_eth_dev_get_mtu(port->id, &mtu) == 0 ? mtu : 0;
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

vr_dpdk_port *vr_dpdk_port_open(const vr_dpdk_request *request, vr_dpdk_facts *facts, vr_dpdk_failed *failed) {
    memset(facts, 0, sizeof *facts);
    vr_dpdk_log_hold();
    uint16_t id = 0;
    int found = find(request->device, &id);
    if (found && open_ports[id]) {
        vr_dpdk_log_fail(failed, EBUSY, "another port has this device open");
        return NULL;
    }
    if (!found) {
        int result = rte_dev_probe(request->device);
        if (result < 0) {
            vr_dpdk_log_fail(failed, result, "the device cannot be plugged in");
            return NULL;
        }
        if (!find(request->device, &id)) {
            vr_dpdk_log_fail(failed, ENODEV, "the device was plugged in but is no network device");
            return NULL;
        }
    }
    vr_dpdk_port *port = calloc(1, sizeof *port);
    if (!port) {
        unplug(id);
        vr_dpdk_log_fail(failed, ENOMEM, "the device cannot be opened");
        return NULL;
    }
    port->id = id;
    port->headroom = (uint16_t)request->headroom;
    port->pool = (struct rte_mempool *)request->pool;
    const char *what = "";
    int result = configure(port, request, facts, &what);
    if (result != 0) {
        unplug(id);
        free(port);
        vr_dpdk_log_fail(failed, result, what);
        return NULL;
    }
    open_ports[id] = port;
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
    int received = rte_eth_rx_burst(port->id, (uint16_t)queue, mbufs, (uint16_t)count);
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

int vr_dpdk_transmit(vr_dpdk_port *port, int queue, const vr_frame *frames, int count) {
    struct rte_mbuf *mbufs[VR_BURST];
    if (count > VR_BURST) count = VR_BURST;
    if (count <= 0) return 0;
    vr_dpdk_know_thread();
    for (int i = 0; i < count; i++) {
        struct rte_mbuf *m = frames[i].buffer;
        m->data_off = (uint16_t)(frames[i].data - (uint8_t *)m->buf_addr);
        m->data_len = (uint16_t)frames[i].length;
        m->pkt_len = frames[i].length;
        m->ol_flags = 0;
        mbufs[i] = m;
    }
    return rte_eth_tx_burst(port->id, (uint16_t)queue, mbufs, (uint16_t)count);
}

void vr_dpdk_port_counters(vr_dpdk_port *port, vr_dpdk_counters *out) {
    struct rte_eth_stats stats;
    memset(out, 0, sizeof *out);
    uint64_t unusable = __atomic_load_n(&port->unusable, __ATOMIC_RELAXED);
    out->receive_errors = unusable;
    if (rte_eth_stats_get(port->id, &stats) != 0) return;
    *out = (vr_dpdk_counters){
        .received_packets = stats.ipackets - unusable, .received_bytes = stats.ibytes,
        .receive_missed = stats.imissed + stats.rx_nombuf, .receive_errors = stats.ierrors + unusable,
        .transmitted_packets = stats.opackets, .transmitted_bytes = stats.obytes, .transmit_errors = stats.oerrors,
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
    unplug(port->id);
    free(port);
}
#endif
