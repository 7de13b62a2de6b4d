// TCP packets that a device cuts (VR_SEGMENTED), and that a device hands over uncut.
//
// Cutting: any driver that offers TCP segmentation with both checksums, in DPDK's convention: the IPv4 header's checksum 0, the TCP checksum that of a
// pseudo-header without length, rte_eth_tx_prepare before the burst. What a device cannot cut after all, the caller cuts.
//
// net_vhost and the drivers of a guest (net_virtio_user, net_virtio): here "the device" is memory and the other side's kernel, which may never have to cut at
// all. A guest says which packets it takes when it connects. One that takes none of them, as DPDK's own drivers do by default, may follow one that takes all: so
// `is_agreed` is asked for at each connection, and until it is set the caller cuts. net_vhost passes the checksum on as it is: there it is Linux's.
//
// net_tap cuts in software (librte_gso), and says nothing of what it cannot: it sends IPv6 as it is, writes long headers beyond its buffers, stops at the 65th
// segment, takes a segment for too long that has the MTU's length without its Ethernet header, and repeats CWR in each.
//
// A bond is left out: its members may differ from what it says.
#ifdef VR_DPDK
#include "internal.h"
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <string.h>

enum { LONGEST_KERNEL_PACKET = 65282, VLAN_TAG = 4, TAP_HEADERS = 128, TAP_SEGMENTS = 64, TCP_CWR = 0x80 };
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
    } else if (strcmp(driver, "net_bonding") != 0) {
        uint64_t sending = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        if ((info->tx_offload_capa & sending) == sending) {
            conf->txmode.offloads |= sending;
            offload->cuts = offload->finishes_ipv4 = 1;
        }
    }
}

void vr_dpdk_offload_settle(uint16_t port, const char *driver, vr_dpdk_offload *offload) {
    uint16_t mtu = 0;
    if (strcmp(driver, "net_tap") == 0 && rte_eth_dev_get_mtu(port, &mtu) == 0) offload->longest_segment = mtu;
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

int vr_dpdk_offload_describe(const vr_dpdk_offload *offload, struct rte_mbuf *m, uint32_t size) {
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t length = m->data_len, link = RTE_ETHER_HDR_LEN;
    if (length < RTE_ETHER_HDR_LEN + 2 * VLAN_TAG + sizeof(struct rte_ipv6_hdr) || size == 0 || size > UINT16_MAX) return 0;
    uint16_t type = (uint16_t)(p[12] << 8 | p[13]);
    for (int depth = 0; depth < 2 && (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ); depth++) {
        link += VLAN_TAG;
        type = (uint16_t)(p[link - 2] << 8 | p[link - 1]);
    }
    uint32_t network;
    uint64_t flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    void *ip = p + link;
    if (type == RTE_ETHER_TYPE_IPV4) {
        const struct rte_ipv4_hdr *v4 = ip;
        network = (v4->version_ihl & 15u) * 4;
        if (network < sizeof *v4 || v4->next_proto_id != IPPROTO_TCP || (v4->fragment_offset & rte_cpu_to_be_16(0x3FFF))) return 0;
        flags |= RTE_MBUF_F_TX_IPV4;
    } else if (type == RTE_ETHER_TYPE_IPV6) {
        network = sizeof(struct rte_ipv6_hdr);
        if (((const struct rte_ipv6_hdr *)ip)->proto != IPPROTO_TCP) return 0;
        flags |= RTE_MBUF_F_TX_IPV6;
    } else {
        return 0;
    }
    if (link + network + sizeof(struct rte_tcp_hdr) > length) return 0;
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(p + link + network);
    uint32_t transport = (tcp->data_off >> 4) * 4u, headers = link + network + transport;
    if (transport < sizeof *tcp || headers >= length) return 0;
    if (offload->longest_segment) {
        if (!(flags & RTE_MBUF_F_TX_IPV4) || (tcp->tcp_flags & TCP_CWR) || headers > TAP_HEADERS || headers >= offload->longest_segment) return 0;
        if (size > offload->longest_segment - headers) size = offload->longest_segment - headers;
        if ((length - headers + size - 1) / size > TAP_SEGMENTS) return 0;
    }
    if (offload->finishes_ipv4 && (flags & RTE_MBUF_F_TX_IPV4)) {
        flags |= RTE_MBUF_F_TX_IP_CKSUM;
        ((struct rte_ipv4_hdr *)ip)->hdr_checksum = 0;
    }
    // Without the length where the device cuts by DPDK's convention, with it as Linux has it.
    uint64_t convention = offload->is_guests ? 0 : flags;
    tcp->cksum = flags & RTE_MBUF_F_TX_IPV4 ? rte_ipv4_phdr_cksum(ip, convention) : rte_ipv6_phdr_cksum(ip, convention);
    m->l2_len = link;
    m->l3_len = network;
    m->l4_len = transport;
    m->tso_segsz = (uint16_t)size;
    m->ol_flags = flags;
    return 1;
}
#endif
