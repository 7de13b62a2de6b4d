// A live interface.
//
// One packet socket, opened by libpcap with a memory-mapped ring. Its life has two states: open, and lost (`handle` NULL) after
// libpcap reported that the interface went away. A lost interface is looked for once a second by the receiving thread.
// Descriptors that other threads or the caller's poll set hold stay the same through a reopening: `transmit_fd` is a
// duplicate that dup2 turns over to the new socket, `poll_fd` is an epoll set whose member changes.
#include "counters.h"
#include <sched.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
    // In immediate mode libpcap's ring has slots of one size, and blocks of a power of two. 65424 octets is the most that
    // leaves a slot in 64 KiB (a few more would take 128 KiB each); the largest TCP frame a kernel hands over (gso_max_size 65536
    // less MAX_TCP_HEADER, plus headers) is under 65410.
    SNAP_LENGTH = 65424,
    RING_SIZE = 32 << 20,
    SEND_BUFFER_SIZE = 4 << 20,
    ETHERNET_HEADER = 14,
};

struct vr_pcap_live {
    pcap_t *handle;
    int transmit_fd, poll_fd, timer_fd;
    unsigned index;
    char interface[IF_NAMESIZE];
    // Drops counted by handles that are closed now; `lock` keeps the handle alive while another thread reads its drops.
    uint64_t missed_before;
    pthread_mutex_t lock;
    counted_side received, transmitted;
};

static int fail(vr_pcap_failed *failed, enum vr_pcap_failure reason, const char *text) {
    failed->reason = reason;
    snprintf(failed->text, sizeof failed->text, "%s", text);
    return -1;
}

static int fail_activation(vr_pcap_failed *failed, pcap_t *handle, int status) {
    enum vr_pcap_failure reason = VR_PCAP_OTHER;
    if (status == PCAP_ERROR_NO_SUCH_DEVICE) reason = VR_PCAP_NO_INTERFACE;
    if (status == PCAP_ERROR_PERM_DENIED || status == PCAP_ERROR_PROMISC_PERM_DENIED) reason = VR_PCAP_NO_PERMISSION;
    const char *detail = pcap_geterr(handle);
    return fail(failed, reason, detail[0] ? detail : pcap_statustostr(status));
}

static int activate(pcap_t *handle, vr_pcap_failed *failed) {
    pcap_set_snaplen(handle, SNAP_LENGTH);
    pcap_set_promisc(handle, 1);
    pcap_set_immediate_mode(handle, 1);
    pcap_set_buffer_size(handle, RING_SIZE);
    int status = pcap_activate(handle);
    if (status < 0) return fail_activation(failed, handle, status);
    if (pcap_datalink(handle) != DLT_EN10MB) {
        const char *name = pcap_datalink_val_to_name(pcap_datalink(handle));
        return fail(failed, VR_PCAP_NOT_ETHERNET, name ? name : "unknown");
    }
    char text[PCAP_ERRBUF_SIZE];
    if (pcap_setnonblock(handle, 1, text) != 0) return fail(failed, VR_PCAP_OTHER, text);
    if (pcap_setdirection(handle, PCAP_D_IN) != 0) return fail(failed, VR_PCAP_OTHER, pcap_geterr(handle));
    return 0;
}

// Opens the interface by name and puts its socket in the place of the one before, if any.
static int attach(vr_pcap_live *live, vr_pcap_failed *failed) {
    unsigned index = if_nametoindex(live->interface);
    if (index == 0) return fail(failed, VR_PCAP_NO_INTERFACE, strerror(ENODEV));
    if (index != live->index) {
        // Not when it is the same interface: then somebody took it down, and wants it down.
        int result = vr_interface_bring_up(live->interface);
        if (result == -EPERM || result == -EACCES) return fail(failed, VR_PCAP_NO_PERMISSION, strerror(-result));
        if (result < 0) return fail(failed, result == -ENODEV ? VR_PCAP_NO_INTERFACE : VR_PCAP_OTHER, strerror(-result));
    }
    char text[PCAP_ERRBUF_SIZE] = "";
    pcap_t *handle = pcap_create(live->interface, text);
    if (!handle) return fail(failed, VR_PCAP_OTHER, text);
    if (activate(handle, failed) != 0) {
        pcap_close(handle);
        return -1;
    }
    int fd = pcap_fileno(handle), on = 1, size = SEND_BUFFER_SIZE;
    // pcap_setdirection drops outgoing frames after they have taken a slot of the ring; this (Linux 4.20) before.
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);

    struct epoll_event event = {.events = EPOLLIN};
    if (dup3(fd, live->transmit_fd, O_CLOEXEC) < 0 || epoll_ctl(live->poll_fd, EPOLL_CTL_ADD, pcap_get_selectable_fd(handle), &event) != 0) {
        fail(failed, VR_PCAP_OTHER, strerror(errno));
        pcap_close(handle);
        return -1;
    }
    live->index = index;
    pthread_mutex_lock(&live->lock);
    live->handle = handle;
    pthread_mutex_unlock(&live->lock);
    return 0;
}

static void set_timer(vr_pcap_live *live, int seconds) {
    struct itimerspec period = {.it_value.tv_sec = seconds, .it_interval.tv_sec = seconds};
    timerfd_settime(live->timer_fd, 0, &period, NULL);
}

static uint64_t drops(pcap_t *handle) {
    struct pcap_stat statistics;
    return handle && pcap_stats(handle, &statistics) == 0 ? statistics.ps_drop : 0;
}

static void detach(vr_pcap_live *live) {
    pthread_mutex_lock(&live->lock);
    pcap_t *handle = live->handle;
    live->missed_before += drops(handle);
    live->handle = NULL;
    pthread_mutex_unlock(&live->lock);
    if (!handle) return;
    // transmit_fd keeps the socket open, and an epoll set forgets a socket only when the last descriptor is closed.
    epoll_ctl(live->poll_fd, EPOLL_CTL_DEL, pcap_get_selectable_fd(handle), NULL);
    pcap_close(handle);
}

vr_pcap_live *vr_pcap_live_open(const char *interface, vr_pcap_failed *failed) {
    if (strlen(interface) >= IF_NAMESIZE || interface[0] == 0) {
        fail(failed, VR_PCAP_NO_INTERFACE, strerror(ENODEV));
        return NULL;
    }
    vr_pcap_live *live = aligned_alloc(_Alignof(vr_pcap_live), sizeof(vr_pcap_live));
    if (!live) {
        fail(failed, VR_PCAP_OTHER, strerror(ENOMEM));
        return NULL;
    }
    memset(live, 0, sizeof *live);
    strcpy(live->interface, interface);
    pthread_mutex_init(&live->lock, NULL);
    live->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    live->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    // Only the number is wanted: attach turns it over to the packet socket.
    live->transmit_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN};
    if (live->poll_fd < 0 || live->timer_fd < 0 || live->transmit_fd < 0 || epoll_ctl(live->poll_fd, EPOLL_CTL_ADD, live->timer_fd, &event) != 0) {
        fail(failed, VR_PCAP_OTHER, strerror(errno));
        vr_pcap_live_close(live);
        return NULL;
    }
    if (attach(live, failed) != 0) {
        vr_pcap_live_close(live);
        return NULL;
    }
    return live;
}

typedef struct taking {
    vr_frame *frames;
    int filled;
    uint64_t bytes, errors;
} taking;

static void take(u_char *context, const struct pcap_pkthdr *header, const u_char *octets) {
    taking *to = (taking *)context;
    vr_frame *frame = &to->frames[to->filled];
    if (header->caplen < header->len || header->caplen < ETHERNET_HEADER || header->caplen > frame->tailroom) {
        to->errors++;
        return;
    }
    memcpy(frame->data, octets, header->caplen);
    frame->length = header->caplen;
    frame->tailroom -= header->caplen;
    to->bytes += header->caplen;
    to->filled++;
}

static void look_again(vr_pcap_live *live) {
    uint64_t expirations;
    if (read(live->timer_fd, &expirations, sizeof expirations) != sizeof expirations) return;
    vr_pcap_failed failed;
    if (attach(live, &failed) == 0) set_timer(live, 0);
}

int vr_pcap_live_receive(vr_pcap_live *live, vr_frame *frames, int count) {
    if (!live->handle) look_again(live);
    if (!live->handle || count <= 0) return 0;
    taking to = {.frames = frames};
    // Returns at most `count` frames: the callback never runs past the end of `frames`.
    if (pcap_dispatch(live->handle, count, take, (u_char *)&to) < 0) {
        to.errors++;
        detach(live);
        set_timer(live, 1);
    }
    vr_count(&live->received.packets, (uint64_t)to.filled);
    vr_count(&live->received.bytes, to.bytes);
    if (to.errors) vr_count(&live->received.errors, to.errors);
    return to.filled;
}

// One system call per frame, for a libpcap whose descriptor is no socket.
static int inject(vr_pcap_live *live, const vr_frame *frames, int count, uint64_t *sent, uint64_t *bytes) {
    int taken = 0;
    pthread_mutex_lock(&live->lock);
    for (; taken < count && live->handle; taken++) {
        if (pcap_inject(live->handle, frames[taken].data, frames[taken].length) < 0) {
            if (errno == EAGAIN || errno == ENOBUFS) break;
            continue;
        }
        *sent += 1;
        *bytes += frames[taken].length;
    }
    pthread_mutex_unlock(&live->lock);
    return taken;
}

enum { VR_TRANSMIT_YIELDS = 16 };

int vr_pcap_live_transmit(vr_pcap_live *live, const vr_frame *frames, int count) {
    struct mmsghdr messages[VR_BURST];
    struct iovec parts[VR_BURST];
    if (count > VR_BURST) count = VR_BURST;
    memset(messages, 0, sizeof messages[0] * (size_t)(count > 0 ? count : 0));
    for (int i = 0; i < count; i++) {
        parts[i] = (struct iovec){frames[i].data, frames[i].length};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int taken = 0, yields = 0;
    uint64_t sent = 0, bytes = 0;
    while (taken < count) {
        int done = sendmmsg(live->transmit_fd, messages + taken, (unsigned)(count - taken), MSG_DONTWAIT);
        if (done > 0) {
            for (int i = taken; i < taken + done; i++) bytes += frames[i].length;
            sent += (uint64_t)done;
            taken += done;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            // The kernel's queue is full. Behind a veth it is emptied by the same core once we let go of it: a few turns save a burst of TCP.
            if (yields++ == VR_TRANSMIT_YIELDS) break;
            sched_yield();
            continue;
        }
        if (errno == ENOTSOCK || errno == ENOSYS) {
            taken += inject(live, frames + taken, count - taken, &sent, &bytes);
            break;
        }
        // The interface is down or gone: so it is for the rest of the burst. Else it is this frame that is refused.
        taken = errno == ENETDOWN || errno == ENXIO || errno == ENODEV ? count : taken + 1;
    }
    vr_count(&live->transmitted.packets, sent);
    vr_count(&live->transmitted.bytes, bytes);
    if ((uint64_t)taken > sent) vr_count(&live->transmitted.errors, (uint64_t)taken - sent);
    return taken;
}

int vr_pcap_live_descriptor(const vr_pcap_live *live) { return live->poll_fd; }

void vr_pcap_live_counters(vr_pcap_live *live, vr_pcap_counters *out) {
    vr_read_sides(&live->received, &live->transmitted, out);
    pthread_mutex_lock(&live->lock);
    out->receive_missed = live->missed_before + drops(live->handle);
    pthread_mutex_unlock(&live->lock);
}

void vr_pcap_live_close(vr_pcap_live *live) {
    detach(live);
    if (live->transmit_fd >= 0) close(live->transmit_fd);
    if (live->timer_fd >= 0) close(live->timer_fd);
    if (live->poll_fd >= 0) close(live->poll_fd);
    pthread_mutex_destroy(&live->lock);
    free(live);
}
