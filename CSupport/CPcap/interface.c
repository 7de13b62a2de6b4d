// Interface settings through the SIOC[GS]IF* requests (netdevice(7)).
#include "vr_pcap.h"
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int request(const char *name, unsigned long code, struct ifreq *argument) {
    if (strlen(name) >= sizeof argument->ifr_name) return -ENODEV;
    strcpy(argument->ifr_name, name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int result = ioctl(fd, code, argument) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

int vr_interface_mtu(const char *name) {
    struct ifreq argument = {0};
    int result = request(name, SIOCGIFMTU, &argument);
    return result < 0 ? result : argument.ifr_mtu;
}

int vr_interface_set_mtu(const char *name, int mtu) {
    struct ifreq argument = {.ifr_mtu = mtu};
    return request(name, SIOCSIFMTU, &argument);
}

int vr_interface_is_running(const char *name) {
    struct ifreq argument = {0};
    int result = request(name, SIOCGIFFLAGS, &argument);
    return result < 0 ? result : (argument.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

int vr_interface_bring_up(const char *name) {
    struct ifreq argument = {0};
    int result = request(name, SIOCGIFFLAGS, &argument);
    if (result < 0 || (argument.ifr_flags & IFF_UP)) return result;
    argument.ifr_flags |= IFF_UP;
    return request(name, SIOCSIFFLAGS, &argument);
}
