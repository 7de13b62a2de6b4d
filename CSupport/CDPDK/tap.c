// Whether the kernel interface of a net_tap is up. The driver asks by name, and so loses sight of an interface that was moved to a workload's
// namespace; the descriptor it reads frames from belongs to the interface wherever that is. It is found here by its name when the port is
// opened, and asked: a tun descriptor is writable while its interface is up (drivers/net/tun.c, tun_sock_writeable).
#ifdef VR_DPDK
#include "vr_dpdk.h"
#include <dirent.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int is_of(int fd, const char *interface) {
    char path[32], target[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    struct ifreq request = {0};
    return strcmp(target, "/dev/net/tun") == 0 && ioctl(fd, TUNGETIFF, &request) == 0 && strcmp(request.ifr_name, interface) == 0;
}

int vr_dpdk_tap_descriptor(const char *interface) {
    DIR *descriptors = opendir("/proc/self/fd");
    if (!descriptors) return -1;
    int found = -1;
    for (struct dirent *entry; found < 0 && (entry = readdir(descriptors));) {
        int fd = atoi(entry->d_name);
        if (fd > 2 && is_of(fd, interface)) found = fd;
    }
    closedir(descriptors);
    return found;
}

int vr_dpdk_tap_is_up(int descriptor) {
    struct pollfd ask = {.fd = descriptor, .events = POLLOUT};
    return poll(&ask, 1, 0) == 1 && (ask.revents & POLLOUT) != 0;
}
#endif
