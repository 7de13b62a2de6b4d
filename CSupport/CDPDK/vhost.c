// The transmit queues of net_vhost that its guest has enabled. A guest may enable fewer than the port has (a Linux guest does
// until `ethtool -L`), and what is sent on another is not taken: a worker's queue is then turned to one that is enabled.
//
// rte_eth_vhost_get_queue_event is a symbol of the driver, which EAL loads as a plugin. Events come on a thread of the vhost library; workers read `turned_to` alone.
#ifdef VR_DPDK
#include "internal.h"
#include <rte_ethdev.h>
#include <rte_eth_vhost.h>

typedef int get_event(uint16_t, struct rte_eth_vhost_queue_event *);

static void turn_queues(vr_dpdk_queues *queues) {
    uint16_t enabled[VR_DPDK_MAX_QUEUES];
    int count = 0;
    for (int queue = 0; queue < queues->count; queue++)
        if (queues->enabled & (UINT64_C(1) << queue)) enabled[count++] = (uint16_t)queue;
    for (int queue = 0; queue < queues->count; queue++) {
        uint16_t to = count == 0 || (queues->enabled & (UINT64_C(1) << queue)) ? (uint16_t)queue : enabled[queue % count];
        __atomic_store_n(&queues->turned_to[queue], to, __ATOMIC_RELAXED);
    }
}

static int on_queue(uint16_t port, enum rte_eth_event_type type, void *argument, void *result) {
    (void)type, (void)result;
    vr_dpdk_queues *queues = argument;
    get_event *next = (get_event *)queues->next_event;
    struct rte_eth_vhost_queue_event event;
    // One call for several events, so until there is none left. `rx` is our side.
    while (next(port, &event) == 0) {
        if (event.rx || event.queue_id >= queues->count) continue;
        uint64_t bit = UINT64_C(1) << event.queue_id;
        queues->enabled = event.enable ? queues->enabled | bit : queues->enabled & ~bit;
    }
    turn_queues(queues);
    return 0;
}

static int on_link(uint16_t port, enum rte_eth_event_type type, void *argument, void *result) {
    (void)type, (void)result;
    vr_dpdk_queues *queues = argument;
    struct rte_eth_link link = {0};
    // The next guest tells all its queues anew.
    if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN) {
        queues->enabled = 0;
        turn_queues(queues);
    }
    return 0;
}

void vr_dpdk_vhost_watch(uint16_t port, vr_dpdk_queues *queues) {
    if (queues->count < 2 || queues->count > VR_DPDK_MAX_QUEUES) return;
    queues->next_event = vr_dpdk_driver_symbol("librte_net_vhost.so", "rte_eth_vhost_get_queue_event");
    if (!queues->next_event) return;
    for (int queue = 0; queue < queues->count; queue++) queues->turned_to[queue] = (uint16_t)queue;
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_QUEUE_STATE, on_queue, queues);
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, on_link, queues);
    queues->is_watched = 1;
}

void vr_dpdk_vhost_forget(uint16_t port, vr_dpdk_queues *queues) {
    if (!queues->is_watched) return;
    rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_QUEUE_STATE, on_queue, queues);
    rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_LSC, on_link, queues);
    queues->is_watched = 0;
}
#endif
