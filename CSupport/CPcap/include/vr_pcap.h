// libpcap behind plain structures: pcap.h is included by the .c files alone, so none of its types (nor the macros and
// bit-fields that Swift cannot import) reach Swift. Every call moves a burst: libpcap's ring → pool buffers, or back.
#ifndef VR_PCAP_H
#define VR_PCAP_H

#include <stddef.h>
#include <stdint.h>
#include <platform.h>

enum { VR_PCAP_ERROR_SIZE = 320 };

// Why an open failed; the text that comes with it is libpcap's or the kernel's own.
enum vr_pcap_failure {
    VR_PCAP_OTHER = 1,
    VR_PCAP_NO_INTERFACE,
    VR_PCAP_NO_PERMISSION,
    VR_PCAP_NOT_ETHERNET,
};

typedef struct vr_pcap_failed {
    enum vr_pcap_failure reason;
    int output;    // of a capture file: it is the output that failed
    char text[VR_PCAP_ERROR_SIZE];
} vr_pcap_failed;

typedef struct vr_pcap_counters {
    uint64_t received_packets, received_bytes, receive_missed, receive_errors;
    uint64_t transmitted_packets, transmitted_bytes, transmit_errors;
    uint64_t transmitted_uncut;    // frames that were left to the kernel to cut
} vr_pcap_counters;

// Capture files. Reading takes what libpcap reads (pcap, nanosecond pcap, pcapng) of link type Ethernet; writing makes a
// microsecond pcap whose n-th record, from 0, carries the time n microseconds: the same frames give the same file.
typedef struct vr_pcap_file vr_pcap_file;

// Either path may be NULL: nothing is received, or what is transmitted is discarded. NULL on failure, with the reason.
vr_pcap_file *vr_pcap_file_open(const char *input, const char *output, vr_pcap_failed *failed);
// Reads up to `count` frames into the empty buffers of `frames`; returns how many hold one. Records that were cut short
// when captured, that are no Ethernet frame (under 14 octets) or that do not fit the buffer are counted as errors and skipped.
int vr_pcap_file_read(vr_pcap_file *file, vr_frame *frames, int count);
// No frame is left to read: end of file, or the rest is damaged (counted as one receive error).
int vr_pcap_file_ended(const vr_pcap_file *file);
// Appends the frames; all are taken, those that the disk refuses are counted as errors.
int vr_pcap_file_write(vr_pcap_file *file, const vr_frame *frames, int count);
void vr_pcap_file_counters(vr_pcap_file *file, vr_pcap_counters *out);
// Writes what is buffered; a failure is counted.
void vr_pcap_file_flush(vr_pcap_file *file);
void vr_pcap_file_close(vr_pcap_file *file);

// A live interface: promiscuous, immediate, non-blocking; frames that leave by the interface, our own among them, are not
// received. One thread receives while another transmits.
typedef struct vr_pcap_live vr_pcap_live;

// Brings the interface up and opens it. NULL on failure, with the reason.
vr_pcap_live *vr_pcap_live_open(const char *interface, vr_pcap_failed *failed);
// Whether `vr_pcap_live_receive` would find something. When the interface has disappeared it is looked for again once a second, by name.
int vr_pcap_live_has_frames(vr_pcap_live *live);
// Takes up to `count` (≤ VR_BURST) waiting frames, with `count` empty buffers in `frames`; returns how many frames there are, first in `frames`. Behind
// them are `left` buffers that are not of use any more: `frames` has room for 2 × VR_BURST. UDP packets that the sender's kernel left uncut come as
// the datagrams they stand for.
int vr_pcap_live_receive(vr_pcap_live *live, vr_frame *frames, int count, int *left);
// Whether the kernel cuts UDP packets that a packet socket is given (Linux 6.2).
int vr_pcap_cuts_datagrams(void);
// Before closing: gives up the frames that were received and not yet handed over; returns how many (≤ VR_BURST).
int vr_pcap_live_drain(vr_pcap_live *live, vr_frame *frames);
// Sends frames in order; returns how many were taken, from the front: fewer when the socket or the device queue is full.
// A frame the interface refuses (longer than its MTU, interface down) is taken and counted as an error.
// One with VR_SEGMENTED is cut by the kernel, or by the device behind it.
int vr_pcap_live_transmit(vr_pcap_live *live, vr_frame *frames, int count);
// Becomes readable when a frame waits, and once a second while the interface is gone. The same descriptor for life.
int vr_pcap_live_descriptor(const vr_pcap_live *live);
// From any thread.
void vr_pcap_live_counters(vr_pcap_live *live, vr_pcap_counters *out);
// Receiving finds nothing from then on, and transmitting takes nothing; the descriptor is -1.
void vr_pcap_live_close(vr_pcap_live *live);
// After closing.
void vr_pcap_live_free(vr_pcap_live *live);

// tcpdump's filter language for Ethernet frames, compiled: how many instructions were written, or a negative number with the reason in `error`
// (VR_PCAP_ERROR_SIZE). A name in the text may ask the resolver and so take long.
typedef struct vr_pcap_instruction {
    uint16_t code;
    uint8_t jump_true, jump_false;
    uint32_t k;
} vr_pcap_instruction;
int vr_pcap_compile(const char *text, vr_pcap_instruction *out, int capacity, char *error);

// Interface settings. Each returns a negative errno value on failure.
int vr_interface_mtu(const char *name);
int vr_interface_set_mtu(const char *name, int mtu);
int vr_interface_bring_up(const char *name);
// 1: up and with carrier; 0: one of the two is missing.
int vr_interface_is_running(const char *name);

#endif
