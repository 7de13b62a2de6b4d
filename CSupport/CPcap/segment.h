// Packets that one side leaves the other to cut (segmentation offload), as struct virtio_net_hdr of packet(7) describes them (Virtio 1.2
// section 5.1.6): TCP packets to be sent in segments, and UDP packets that a sender's kernel left uncut (UDP_SEGMENT) or that a router made so.
#ifndef VR_PCAP_SEGMENT_H
#define VR_PCAP_SEGMENT_H

#include <linux/virtio_net.h>
#include <platform.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

typedef struct virtio_net_hdr vr_segment_header;

// For a frame to transmit: describes how the kernel is to cut it (`tailroom` with VR_SEGMENTED), and leaves the transport checksum to it. All
// zero for any other, and for one that cannot be cut, which the kernel then judges by its length.
void vr_segment_describe(vr_frame *frame, vr_segment_header *header);

// Cuts a received UDP packet into the datagrams it stands for.
typedef struct vr_datagram_cutter {
    uint32_t network, payload, size;    // offsets of the IP header and of the data; octets of data per datagram
    int is_ipv6, count, given;
} vr_datagram_cutter;
// 0 when the frame is to be taken as it is.
int vr_datagram_begin(vr_datagram_cutter *cutter, const vr_frame *frame, const vr_segment_header *header);
// Writes the next datagram into the empty buffer of `out`; 0 when it does not fit. Its UDP checksum is left unfinished: the sum of the pseudo-header.
int vr_datagram_next(vr_datagram_cutter *cutter, const vr_frame *frame, vr_frame *out);

#endif
