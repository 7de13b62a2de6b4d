#include "segment.h"
#include <arpa/inet.h>
#include <string.h>

enum { ETHERNET = 14, VLAN = 4, IPV4 = 20, IPV6 = 40, TCP_LEAST = 20, UDP = 8, PROTO_TCP = 6, PROTO_UDP = 17 };

static uint16_t read16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static void write16(uint8_t *p, unsigned value) { p[0] = (uint8_t)(value >> 8); p[1] = (uint8_t)value; }

static uint32_t sum16(const uint8_t *p, uint32_t size) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i + 1 < size; i += 2) sum += read16(p + i);
    return sum;
}
static uint16_t fold(uint32_t sum) {
    while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)sum;
}

typedef struct place {
    uint32_t network, transport;
    int is_ipv6;
    uint8_t proto;
} place;

// The transport header of an unfragmented packet without IPv6 extension headers. 0 when it is another, or not whole.
static int locate(const vr_frame *frame, place *at) {
    const uint8_t *p = frame->data;
    uint32_t network = ETHERNET;
    if (frame->length < ETHERNET + 2 * VLAN + IPV6) return 0;
    uint16_t type = read16(p + 12);
    // A service and a customer tag at most (802.1ad).
    for (int depth = 0; depth < 2 && (type == 0x8100 || type == 0x88A8); depth++) {
        network += VLAN;
        type = read16(p + network - 2);
    }
    const uint8_t *ip = p + network;
    if (type == 0x0800) {
        uint32_t size = (ip[0] & 15u) * 4;
        if (ip[0] >> 4 != 4 || size < IPV4 || network + size > frame->length || (read16(ip + 6) & 0x3FFF)) return 0;
        *at = (place){network, network + size, 0, ip[9]};
    } else if (type == 0x86DD) {
        if (ip[0] >> 4 != 6) return 0;
        *at = (place){network, network + IPV6, 1, ip[6]};
    } else {
        return 0;
    }
    return 1;
}

// Not complemented, without the length.
static uint32_t pseudo_header(const vr_frame *frame, const place *at) {
    const uint8_t *ip = frame->data + at->network;
    return at->proto + (at->is_ipv6 ? sum16(ip + 8, 32) : sum16(ip + 12, 8));
}

void vr_segment_describe(vr_frame *frame, vr_segment_header *header) {
    *header = (vr_segment_header){0};
    if (!(frame->tailroom & VR_SEGMENTED)) return;
    place at;
    uint32_t size = frame->tailroom & ~(uint32_t)VR_SEGMENTED, header_size, field;
    if (!locate(frame, &at) || size == 0 || size > UINT16_MAX) return;
    uint8_t *transport = frame->data + at.transport;
    if (at.proto == PROTO_TCP) {
        if (at.transport + TCP_LEAST > frame->length) return;
        header_size = (transport[12] >> 4) * 4u;
        field = 16;
        header->gso_type = at.is_ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        // CWR: only the first segment says it.
        if (transport[13] & 0x80) header->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    } else if (at.proto == PROTO_UDP) {
        header_size = UDP;
        field = 6;
        header->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
    } else {
        return;
    }
    if (at.transport + header_size > frame->length) {
        header->gso_type = VIRTIO_NET_HDR_GSO_NONE;
        return;
    }
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->hdr_len = (uint16_t)(at.transport + header_size);
    header->gso_size = (uint16_t)size;
    header->csum_start = (uint16_t)at.transport;
    header->csum_offset = (uint16_t)field;
    write16(transport + field, fold(pseudo_header(frame, &at) + (frame->length - at.transport)));
}

int vr_datagram_begin(vr_datagram_cutter *cutter, const vr_frame *frame, const vr_segment_header *header) {
    place at;
    if ((header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_UDP_L4 || header->gso_size == 0) return 0;
    if (!locate(frame, &at) || at.proto != PROTO_UDP || at.transport + UDP >= frame->length) return 0;
    uint32_t payload = at.transport + UDP, size = header->gso_size, octets = frame->length - payload;
    *cutter = (vr_datagram_cutter){
        .network = at.network, .payload = payload, .size = size, .is_ipv6 = at.is_ipv6, .count = (int)((octets + size - 1) / size),
    };
    return cutter->count > 1;
}

int vr_datagram_next(vr_datagram_cutter *cutter, const vr_frame *frame, vr_frame *out) {
    uint32_t from = cutter->payload + (uint32_t)cutter->given * cutter->size;
    uint32_t left = frame->length - from, size = left < cutter->size ? left : cutter->size, total = cutter->payload + size;
    if (total > out->tailroom) return 0;
    memcpy(out->data, frame->data, cutter->payload);
    memcpy(out->data + cutter->payload, frame->data + from, size);
    out->length = total;
    out->tailroom -= total;
    uint8_t *ip = out->data + cutter->network, *udp = out->data + cutter->payload - UDP;
    uint32_t datagram = UDP + size;
    if (cutter->is_ipv6) {
        write16(ip + 4, datagram);
    } else {
        write16(ip + 2, total - cutter->network);
        write16(ip + 4, read16(ip + 4) + (unsigned)cutter->given);
        write16(ip + 10, 0);
        write16(ip + 10, (uint16_t)~fold(sum16(ip, (ip[0] & 15u) * 4)));
    }
    write16(udp + 4, datagram);
    place at = {cutter->network, cutter->payload - UDP, cutter->is_ipv6, PROTO_UDP};
    write16(udp + 6, fold(pseudo_header(out, &at) + datagram));
    cutter->given++;
    return 1;
}
