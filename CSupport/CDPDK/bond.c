// Failover of an active-backup bond (mode 1) whose members are software devices.
//
// net_bonding turns to another member when its driver tells of a lost link. Of the software devices none does: net_af_packet and net_af_xdp
// say that they are up for ever, net_tap knows better and tells nobody. So their kernel interfaces are asked here, ten times a second,
// by an EAL alarm; when the member in use is down and another is up, that one is made the primary. It stays until it fails in turn.
// Members that tell of themselves (NICs) are the driver's own business, as are other modes: LACP (mode 4) notices by its own timers.
//
// The functions of net_bonding are symbols of the driver, which EAL loads as a plugin.
#ifdef VR_DPDK
#include "internal.h"
#include <net/if.h>
#include <rte_alarm.h>
#include <rte_eth_bond.h>
#include <rte_ethdev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PERIOD_US = 100000 };

static int is_running(const char *interface) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 0;
    int known = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    close(fd);
    return known && (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
}

static int member_is_up(const vr_dpdk_member *member) {
    if (member->descriptor >= 0) return vr_dpdk_tap_is_up(member->descriptor);
    if (member->interface[0]) return is_running(member->interface);
    struct rte_eth_link link = {0};
    return rte_eth_link_get_nowait(member->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

int vr_dpdk_bond_is_up(const vr_dpdk_bond *bond) {
    for (int i = 0; i < bond->count; i++)
        if (member_is_up(&bond->members[i])) return 1;
    return 0;
}

static void look(void *argument) {
    vr_dpdk_bond *bond = argument;
    int used = ((int (*)(uint16_t))bond->primary_get)(bond->id), next = -1;
    for (int i = 0; i < bond->count; i++) {
        if (!member_is_up(&bond->members[i])) continue;
        if (bond->members[i].id == used) next = used;
        if (next < 0) next = bond->members[i].id;
    }
    if (next >= 0 && next != used) ((int (*)(uint16_t, uint16_t))bond->primary_set)(bond->id, (uint16_t)next);
    rte_eal_alarm_set(PERIOD_US, look, bond);
}

void vr_dpdk_member_describe(uint16_t id, vr_dpdk_member *member) {
    struct rte_eth_dev_info info;
    *member = (vr_dpdk_member){.id = id, .descriptor = -1};
    if (rte_eth_dev_info_get(id, &info) != 0 || !info.driver_name || !if_indextoname(info.if_index, member->interface)) return;
    if (strcmp(info.driver_name, "net_tap") == 0) member->descriptor = vr_dpdk_tap_descriptor(member->interface);
}

void vr_dpdk_bond_watch(uint16_t id, vr_dpdk_bond *bond) {
    int has_software = 0;
    for (int i = 0; i < bond->count; i++) has_software |= bond->members[i].interface[0] != 0;
    bond->id = id;
    int (*mode_get)(uint16_t) = (int (*)(uint16_t))vr_dpdk_driver_symbol("librte_net_bond.so", "rte_eth_bond_mode_get");
    bond->primary_get = vr_dpdk_driver_symbol("librte_net_bond.so", "rte_eth_bond_primary_get");
    bond->primary_set = vr_dpdk_driver_symbol("librte_net_bond.so", "rte_eth_bond_primary_set");
    if (!has_software || !mode_get || !bond->primary_get || !bond->primary_set || mode_get(id) != BONDING_MODE_ACTIVE_BACKUP) return;
    bond->is_watched = rte_eal_alarm_set(PERIOD_US, look, bond) == 0;
}

void vr_dpdk_bond_forget(vr_dpdk_bond *bond) {
    // Waits for one that runs.
    if (bond->is_watched) rte_eal_alarm_cancel(look, bond);
    bond->is_watched = 0;
}
#endif
