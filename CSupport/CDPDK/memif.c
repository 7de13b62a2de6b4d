// The client end of a memif, which net_memif connects when it is started and never again: it cannot start without its server, and
// does not return to one that was gone. Here it is started anew until there is a server, by an EAL alarm every 200 ms, on the
// thread on which the driver handles its sockets, too.
//
// Bursts pass a gate meanwhile: a worker that finds it shut moves nothing; the alarm waits until every worker is out.
#ifdef VR_DPDK
#include "internal.h"
#include <rte_alarm.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

enum { PERIOD_US = 200000, TURNS_TO_CONNECT = 5 };

static int is_up(uint16_t id) {
    struct rte_eth_link link = {0};
    return rte_eth_link_get_nowait(id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

static void start(vr_dpdk_gate *gate) {
    // That there is no server yet is no news.
    vr_dpdk_log_mute(1);
    gate->is_started = rte_eth_dev_start(gate->id) == 0;
    vr_dpdk_log_mute(0);
    gate->turns = 0;
    if (gate->is_started) __atomic_store_n(&gate->is_shut, 0, __ATOMIC_SEQ_CST);
}

static void look(void *argument) {
    vr_dpdk_gate *gate = argument;
    // One that has just been started is given time to shake hands.
    if (!gate->is_started || (!is_up(gate->id) && ++gate->turns >= TURNS_TO_CONNECT)) {
        __atomic_store_n(&gate->is_shut, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST) != 0) rte_pause();
        vr_dpdk_log_mute(1);
        if (gate->is_started) rte_eth_dev_stop(gate->id);
        vr_dpdk_log_mute(0);
        start(gate);
    }
    rte_eal_alarm_set(PERIOD_US, look, gate);
}

void vr_dpdk_gate_start(uint16_t id, vr_dpdk_gate *gate) {
    gate->id = id;
    gate->is_shut = 1;
    gate->is_there = 1;
    start(gate);
    rte_eal_alarm_set(PERIOD_US, look, gate);
}

void vr_dpdk_gate_end(vr_dpdk_gate *gate) {
    // Waits for one that runs.
    if (gate->is_there) rte_eal_alarm_cancel(look, gate);
    gate->is_there = 0;
}
#endif
