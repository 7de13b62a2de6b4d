// TCP packets that a device cuts (VR_SEGMENTED), and that a device hands over uncut: net_vhost and the drivers of a guest (net_virtio_user,
// net_virtio), where "the device" is memory and the other side's kernel, which may never have to cut at all.
//
// A guest says which packets it takes when it connects. One that takes none of them, as DPDK's own drivers do by default, may follow one that
// takes all: so `is_agreed` is asked for at each connection, and until it is set the caller cuts.
//
// Other drivers are given no such packets: net_tap would cut in software what the caller cuts as well, and members of a bond differ.
#ifdef VR_DPDK
#include "internal.h"
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <string.h>

enum { LONGEST_KERNEL_PACKET = 65282, VLAN_TAG = 4 };
// Virtio 1.2 section 5.1.3.
static const uint64_t GUEST_TAKES = UINT64_C(1) << 1 | UINT64_C(1) << 7 | UINT64_C(1) << 8;    // GUEST_CSUM, GUEST_TSO4, GUEST_TSO6

static int is_guest_driver(const char *driver) { return strcmp(driver, "net_virtio_user") == 0 || strcmp(driver, "net_virtio") == 0; }

void vr_dpdk_offload_ask(
    const char *driver, const struct rte_eth_dev_info *info, int room, int wants_segments, struct rte_eth_conf *conf, vr_dpdk_offload *offload) {
    if (strcmp(driver, "net_vhost") == 0) {
        // The driver would compute what is missing in each packet, the large ones too. The pipeline does that where it has to be done.
        conf->rxmode.offloads |= info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
        offload->cuts = offload->is_guests = wants_segments;
        offload->hands_uncut = wants_segments;
    } else if (is_guest_driver(driver)) {
        uint64_t sending = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        if ((info->tx_offload_capa & sending) == sending) {
            conf->txmode.offloads |= sending;
            offload->cuts = 1;
        }
        // A packet of several buffers is of use only if it fits one.
        // Who leaves a packet uncut leaves its checksum unfinished: both are agreed on, or none (Virtio 1.2 section 5.1.3.1).
        uint64_t receiving = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
        if ((info->rx_offload_capa & receiving) == receiving && room >= LONGEST_KERNEL_PACKET) {
            conf->rxmode.offloads |= receiving;
            offload->hands_uncut = 1;
        }
    }
}

static void look_at_guest(uint16_t port, vr_dpdk_offload *offload) {
    struct rte_eth_link link = {0};
    uint64_t features = 0;
    int agreed = 0;
    if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP) {
        int vid = offload->get_vid(port);
        agreed = vid >= 0 && offload->get_features(vid, &features) == 0 && (features & GUEST_TAKES) == GUEST_TAKES;
    }
    __atomic_store_n(&offload->is_agreed, agreed, __ATOMIC_RELAXED);
}

static int on_link(uint16_t port, enum rte_eth_event_type type, void *argument, void *result) {
    (void)type, (void)result;
    look_at_guest(port, argument);
    return 0;
}

void vr_dpdk_offload_watch(uint16_t port, vr_dpdk_offload *offload) {
    if (!offload->is_guests) return;
    offload->get_vid = (int (*)(uint16_t))vr_dpdk_driver_symbol("librte_net_vhost.so", "rte_eth_vhost_get_vid_from_port_id");
    offload->get_features = (int (*)(int, uint64_t *))vr_dpdk_driver_symbol("librte_vhost.so", "rte_vhost_get_negotiated_features");
    if (!offload->get_vid || !offload->get_features) return;
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, on_link, offload);
    offload->is_watched = 1;
}

void vr_dpdk_offload_forget(uint16_t port, vr_dpdk_offload *offload) {
    if (offload->is_watched) rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_LSC, on_link, offload);
    offload->is_watched = 0;
}

int vr_dpdk_offload_describe(struct rte_mbuf *m, uint32_t size) {
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t length = m->data_len, link = RTE_ETHER_HDR_LEN;
    if (length < RTE_ETHER_HDR_LEN + 2 * VLAN_TAG + sizeof(struct rte_ipv6_hdr) || size == 0 || size > UINT16_MAX) return 0;
    uint16_t type = (uint16_t)(p[12] << 8 | p[13]);
    for (int depth = 0; depth < 2 && (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ); depth++) {
        link += VLAN_TAG;
        type = (uint16_t)(p[link - 2] << 8 | p[link - 1]);
    }
    uint32_t network;
    uint64_t flags;
    const void *ip = p + link;
    if (type == RTE_ETHER_TYPE_IPV4) {
        const struct rte_ipv4_hdr *v4 = ip;
        network = (v4->version_ihl & 15u) * 4;
        if (network < sizeof *v4 || v4->next_proto_id != IPPROTO_TCP) return 0;
        flags = RTE_MBUF_F_TX_IPV4;
    } else if (type == RTE_ETHER_TYPE_IPV6) {
        network = sizeof(struct rte_ipv6_hdr);
        if (((const struct rte_ipv6_hdr *)ip)->proto != IPPROTO_TCP) return 0;
        flags = RTE_MBUF_F_TX_IPV6;
    } else {
        return 0;
    }
    if (link + network + sizeof(struct rte_tcp_hdr) > length) return 0;
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(rte_pktmbuf_mtod(m, uint8_t *) + link + network);
    uint32_t transport = (tcp->data_off >> 4) * 4u;
    if (transport < sizeof *tcp || link + network + transport >= length) return 0;
    // As Linux has it: the sum of the pseudo-header, with the length. (DPDK's convention for NICs has none.)
    tcp->cksum = flags == RTE_MBUF_F_TX_IPV4 ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv6_phdr_cksum(ip, 0);
    m->l2_len = link;
    m->l3_len = network;
    m->l4_len = transport;
    m->tso_segsz = (uint16_t)size;
    m->ol_flags = flags | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    return 1;
}
#endif
