// A live interface: one packet socket (packet(7)), whose frames carry a virtio_net_hdr both ways (PACKET_VNET_HDR). So a TCP packet that is
// to be cut can be handed to the kernel whole, and of a UDP packet that a kernel left uncut it is known where to cut it (segment.c).
//
// Its life has two states: open, and lost (`fd` -1) after the interface went away. A lost interface is looked for once a second by the
// receiving thread. An interface that is taken down is not lost: the socket wakes with it. But a socket says only once that its interface went down, and not
// a second time that it was deleted then; so from that word on it is looked after once a second too, until the interface runs. Descriptors that other threads or the caller's poll
// set hold stay the same through a reopening: `transmit_fd` is a duplicate that dup3 turns over to the new socket, `poll_fd` is an epoll set
// whose member changes.
//
// There is no memory-mapped ring: its slots are all of one size, and one that holds the kernel's largest frame leaves room for a few hundred. A
// socket's queue is bounded by octets, and a frame is copied once.
#include "counters.h"
#include "segment.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    // Octets of frames that may wait, the kernel's own bookkeeping included: 50,000 small frames, or several hundred of 64 KiB.
    RECEIVE_BUFFER_SIZE = 64 << 20,
    SEND_BUFFER_SIZE = 4 << 20,
    ETHERNET_HEADER = 14,
    VLAN_TAG = 4,
};

struct vr_pcap_live {
    int fd, transmit_fd, poll_fd, timer_fd;
    unsigned index;
    // The interface went down; of the receiving thread.
    int watching;
    char interface[IF_NAMESIZE];
    // Frames the kernel had no room for, of this socket and those before; `lock` keeps `fd` open while another thread asks.
    uint64_t missed;
    pthread_mutex_t lock;
    // Frames that were received and not handed over yet: what came behind a packet that is being cut, and that packet.
    vr_frame waiting[VR_BURST];
    vr_segment_header headers[VR_BURST];
    int first_waiting, last_waiting;
    vr_datagram_cutter cutter;
    counted_side received, transmitted;
};

static int fail(vr_pcap_failed *failed, enum vr_pcap_failure reason, const char *text) {
    failed->reason = reason;
    snprintf(failed->text, sizeof failed->text, "%s", text);
    return -1;
}

static int fail_call(vr_pcap_failed *failed, int code) {
    enum vr_pcap_failure reason = VR_PCAP_OTHER;
    if (code == ENODEV || code == ENXIO) reason = VR_PCAP_NO_INTERFACE;
    if (code == EPERM || code == EACCES) reason = VR_PCAP_NO_PERMISSION;
    return fail(failed, reason, strerror(code));
}

static void set_size(int fd, int forced, int option, int size) {
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) != 0) setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
}

// A socket that receives what comes in on the interface, whoever it is for. -1 on failure, with the reason.
static int open_socket(const char *interface, unsigned index, vr_pcap_failed *failed) {
    // Protocol 0: nothing is received before all is set.
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return fail_call(failed, errno);
    struct ifreq request = {0};
    strcpy(request.ifr_name, interface);
    struct packet_mreq promiscuous = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    int code = 0;
    if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) code = errno;
    if (!code && request.ifr_hwaddr.sa_family != ARPHRD_ETHER && request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK) {
        char type[32];
        snprintf(type, sizeof type, "%u", request.ifr_hwaddr.sa_family);
        close(fd);
        return fail(failed, VR_PCAP_NOT_ETHERNET, type);
    }
    if (!code && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0) code = errno;
    if (!code && setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0) code = errno;
    // Linux 4.20: what leaves by the interface is not received.
    if (!code && setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0) code = errno;
    if (!code && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) != 0) code = errno;
    set_size(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER_SIZE);
    set_size(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_SIZE);
    if (!code && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) code = errno;
    if (!code) return fd;
    close(fd);
    return fail_call(failed, code);
}

// Opens the interface by name and puts its socket in the place of the one before, if any.
static int attach(vr_pcap_live *live, vr_pcap_failed *failed) {
    unsigned index = if_nametoindex(live->interface);
    if (index == 0) return fail(failed, VR_PCAP_NO_INTERFACE, strerror(ENODEV));
    int result = vr_interface_bring_up(live->interface);
    if (result < 0) return fail_call(failed, -result);
    int fd = open_socket(live->interface, index, failed);
    if (fd < 0) return -1;
    struct epoll_event event = {.events = EPOLLIN};
    if (dup3(fd, live->transmit_fd, O_CLOEXEC) < 0 || epoll_ctl(live->poll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        fail(failed, VR_PCAP_OTHER, strerror(errno));
        close(fd);
        return -1;
    }
    pthread_mutex_lock(&live->lock);
    live->index = index;
    live->fd = fd;
    pthread_mutex_unlock(&live->lock);
    return 0;
}

static void set_timer(vr_pcap_live *live, int seconds) {
    struct itimerspec period = {.it_value.tv_sec = seconds, .it_interval.tv_sec = seconds};
    timerfd_settime(live->timer_fd, 0, &period, NULL);
}

// Under the lock. Reading sets the kernel's count back.
static void count_missed(vr_pcap_live *live) {
    struct tpacket_stats statistics = {0};
    socklen_t size = sizeof statistics;
    if (live->fd >= 0 && getsockopt(live->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0) live->missed += statistics.tp_drops;
}

static void detach(vr_pcap_live *live) {
    pthread_mutex_lock(&live->lock);
    int fd = live->fd;
    count_missed(live);
    live->fd = -1;
    pthread_mutex_unlock(&live->lock);
    if (fd < 0) return;
    // transmit_fd keeps the socket open, and an epoll set forgets a socket only when the last descriptor is closed.
    epoll_ctl(live->poll_fd, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
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
    live->fd = -1;
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
        vr_pcap_live_free(live);
        return NULL;
    }
    if (attach(live, failed) != 0) {
        vr_pcap_live_close(live);
        vr_pcap_live_free(live);
        return NULL;
    }
    return live;
}

static void look_again(vr_pcap_live *live) {
    uint64_t expirations;
    if (read(live->timer_fd, &expirations, sizeof expirations) != sizeof expirations) return;
    if (live->fd >= 0) {
        if (if_nametoindex(live->interface) == live->index) {
            if (vr_interface_is_running(live->interface) != 1) return;
            live->watching = 0;
            set_timer(live, 0);
            return;
        }
        vr_count(&live->received.errors, 1);
        detach(live);
    }
    vr_pcap_failed failed;
    if (attach(live, &failed) != 0) return;
    live->watching = 0;
    set_timer(live, 0);
}

// Puts the outermost VLAN tag back, which the kernel keeps beside the frame.
static void insert_tag(vr_frame *frame, struct msghdr *message) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        struct tpacket_auxdata data;
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA || c->cmsg_len < CMSG_LEN(sizeof data)) continue;
        memcpy(&data, CMSG_DATA(c), sizeof data);
        if (!(data.tp_status & TP_STATUS_VLAN_VALID) || frame->headroom < VLAN_TAG) continue;
        uint16_t type = data.tp_status & TP_STATUS_VLAN_TPID_VALID ? data.tp_vlan_tpid : ETH_P_8021Q;
        uint16_t tag[2] = {htons(type), htons(data.tp_vlan_tci)};
        memmove(frame->data - VLAN_TAG, frame->data, 2 * ETH_ALEN);
        frame->data -= VLAN_TAG;
        frame->headroom -= VLAN_TAG;
        frame->length += VLAN_TAG;
        memcpy(frame->data + 2 * ETH_ALEN, tag, sizeof tag);
    }
}

static int is_gone(vr_pcap_live *live, int code) {
    if (code == EAGAIN || code == EWOULDBLOCK || code == EINTR || code == ENOBUFS || code == ENOMEM) return 0;
    if (if_nametoindex(live->interface) != live->index) return 1;
    // Taken down: the socket goes on when it is up again, if it is not on its way out.
    live->watching = 1;
    set_timer(live, 1);
    return 0;
}

// Receives into the buffers of `frames` and moves those that hold a frame to `waiting`. Returns how many; the buffers of the rest are in `frames` still,
// from that number on. -1: the interface is gone.
static int receive_burst(vr_pcap_live *live, vr_frame *frames, int count) {
    struct mmsghdr messages[VR_BURST];
    struct iovec parts[VR_BURST][2];
    union { struct cmsghdr aligned; char octets[CMSG_SPACE(sizeof(struct tpacket_auxdata))]; } controls[VR_BURST];
    for (int i = 0; i < count; i++) {
        parts[i][0] = (struct iovec){&live->headers[i], sizeof live->headers[i]};
        parts[i][1] = (struct iovec){frames[i].data, frames[i].tailroom};
        messages[i].msg_hdr = (struct msghdr){
            .msg_iov = parts[i], .msg_iovlen = 2, .msg_control = &controls[i], .msg_controllen = sizeof controls[i],
        };
    }
    long received = syscall(SYS_recvmmsg, live->fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (received < 0) return is_gone(live, errno) ? -1 : 0;
    int kept = 0;
    for (int i = 0; i < received; i++) {
        size_t length = messages[i].msg_len, header = sizeof live->headers[i];
        if (length < header + ETHERNET_HEADER || length - header > frames[i].tailroom) continue;
        vr_frame *frame = &live->waiting[kept];
        *frame = frames[i];
        // The buffer of one that was of no use stays behind those that hold a frame.
        frames[i] = frames[kept];
        live->headers[kept++] = live->headers[i];
        frame->length = (uint32_t)(length - header);
        frame->tailroom -= frame->length;
        insert_tag(frame, &messages[i].msg_hdr);
    }
    if (kept < received) vr_count(&live->received.errors, (uint64_t)(received - kept));
    live->first_waiting = 0;
    live->last_waiting = kept;
    return kept;
}

// A poll that finds nothing is the most frequent of all calls. (System calls directly: the library's are cancellation points, which costs a tenth.)
int vr_pcap_live_has_frames(vr_pcap_live *live) {
    if (live->first_waiting < live->last_waiting) return 1;
    if ((live->fd < 0 || live->watching) && live->timer_fd >= 0) look_again(live);
    if (live->fd < 0) return 0;
    vr_segment_header header;
    if (syscall(SYS_recvfrom, live->fd, &header, sizeof header, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC, NULL, NULL) >= 0) return 1;
    if (!is_gone(live, errno)) return 0;
    vr_count(&live->received.errors, 1);
    detach(live);
    set_timer(live, 1);
    return 0;
}

int vr_pcap_live_receive(vr_pcap_live *live, vr_frame *frames, int count, int *left) {
    vr_frame empty[VR_BURST], spent[VR_BURST];
    int taken = 0, filled = 0, spent_count = 0;
    uint64_t bytes = 0;
    if (count > VR_BURST) count = VR_BURST;
    *left = count;
    if (count <= 0 || (live->fd < 0 && live->first_waiting == live->last_waiting)) return 0;
    memcpy(empty, frames, sizeof empty[0] * (size_t)count);
    if (live->first_waiting == live->last_waiting) {
        taken = receive_burst(live, empty, count);
        if (taken < 0) {
            taken = 0;
            vr_count(&live->received.errors, 1);
            detach(live);
            set_timer(live, 1);
        }
    }
    while (live->first_waiting < live->last_waiting && filled < count) {
        vr_frame *frame = &live->waiting[live->first_waiting];
        vr_datagram_cutter *cutter = &live->cutter;
        if (cutter->count == 0 && !vr_datagram_begin(cutter, frame, &live->headers[live->first_waiting])) {
            cutter->count = 0;
            bytes += frame->length;
            frames[filled++] = *frame;
        } else {
            int fits = 1;
            while (cutter->given < cutter->count && filled < count && taken < count && (fits = vr_datagram_next(cutter, frame, &empty[taken]))) {
                bytes += empty[taken].length;
                frames[filled++] = empty[taken++];
            }
            if (fits && cutter->given < cutter->count) break;
            if (!fits) vr_count(&live->received.errors, 1);
            cutter->count = cutter->given = 0;
            spent[spent_count++] = *frame;
        }
        live->first_waiting++;
    }
    memcpy(frames + filled, spent, sizeof spent[0] * (size_t)spent_count);
    memcpy(frames + filled + spent_count, empty + taken, sizeof empty[0] * (size_t)(count - taken));
    *left = spent_count + count - taken;
    if (filled) {
        vr_count(&live->received.packets, (uint64_t)filled);
        vr_count(&live->received.bytes, bytes);
    }
    return filled;
}

int vr_pcap_cuts_datagrams(void) {
    struct utsname system;
    unsigned major = 0, minor = 0;
    return uname(&system) == 0 && sscanf(system.release, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 2));
}

int vr_pcap_live_drain(vr_pcap_live *live, vr_frame *frames) {
    int count = live->last_waiting - live->first_waiting;
    memcpy(frames, live->waiting + live->first_waiting, sizeof frames[0] * (size_t)count);
    live->first_waiting = live->last_waiting = 0;
    return count;
}

enum { TRANSMIT_YIELDS = 16 };

int vr_pcap_live_transmit(vr_pcap_live *live, vr_frame *frames, int count) {
    struct mmsghdr messages[VR_BURST];
    struct iovec parts[VR_BURST][2];
    vr_segment_header headers[VR_BURST];
    if (count > VR_BURST) count = VR_BURST;
    if (live->transmit_fd < 0) return 0;
    memset(messages, 0, sizeof messages[0] * (size_t)(count > 0 ? count : 0));
    for (int i = 0; i < count; i++) {
        vr_segment_describe(&frames[i], &headers[i]);
        parts[i][0] = (struct iovec){&headers[i], sizeof headers[i]};
        parts[i][1] = (struct iovec){frames[i].data, frames[i].length};
        messages[i].msg_hdr.msg_iov = parts[i];
        messages[i].msg_hdr.msg_iovlen = 2;
    }
    int taken = 0, yields = 0;
    uint64_t sent = 0, bytes = 0, uncut = 0;
    while (taken < count) {
        long done = syscall(SYS_sendmmsg, live->transmit_fd, messages + taken, (unsigned)(count - taken), MSG_DONTWAIT);
        if (done > 0) {
            for (int i = taken; i < taken + done; i++) {
                bytes += frames[i].length;
                uncut += headers[i].gso_type != VIRTIO_NET_HDR_GSO_NONE;
            }
            sent += (uint64_t)done;
            taken += (int)done;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            // The kernel's queue is full. Behind a veth it is emptied by the same core once we let go of it: a few turns save a burst of TCP.
            if (yields++ == TRANSMIT_YIELDS) break;
            sched_yield();
            continue;
        }
        // The interface is down or gone: so it is for the rest of the burst. Else it is this frame that is refused.
        taken = errno == ENETDOWN || errno == ENXIO || errno == ENODEV ? count : taken + 1;
    }
    vr_count(&live->transmitted.packets, sent);
    vr_count(&live->transmitted.bytes, bytes);
    if (uncut) vr_count(&live->transmitted.uncut, uncut);
    if ((uint64_t)taken > sent) vr_count(&live->transmitted.errors, (uint64_t)taken - sent);
    return taken;
}

int vr_pcap_live_descriptor(const vr_pcap_live *live) { return live->poll_fd; }

void vr_pcap_live_counters(vr_pcap_live *live, vr_pcap_counters *out) {
    vr_read_sides(&live->received, &live->transmitted, out);
    pthread_mutex_lock(&live->lock);
    count_missed(live);
    out->receive_missed = live->missed;
    pthread_mutex_unlock(&live->lock);
}

void vr_pcap_live_close(vr_pcap_live *live) {
    detach(live);
    if (live->transmit_fd >= 0) close(live->transmit_fd);
    if (live->timer_fd >= 0) close(live->timer_fd);
    if (live->poll_fd >= 0) close(live->poll_fd);
    live->transmit_fd = live->timer_fd = live->poll_fd = -1;
}

void vr_pcap_live_free(vr_pcap_live *live) {
    pthread_mutex_destroy(&live->lock);
    free(live);
}
