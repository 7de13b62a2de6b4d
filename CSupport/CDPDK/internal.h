// Shared by the .c files of this target.
#ifndef VR_DPDK_INTERNAL_H
#define VR_DPDK_INTERNAL_H

#include <rte_config.h>
#include <rte_mbuf.h>
#include "vr_dpdk.h"

// While held, what DPDK logs is kept, to become the text of an error; else it goes to standard error. Not verbose: warnings and
// worse alone, and not those of operations that went well.
void vr_dpdk_log_open(int is_verbose);
void vr_dpdk_log_hold(void);
// Ends holding after success.
void vr_dpdk_log_pass(void);
// Ends holding: describes the failure with `code` (a negative or positive errno value), `what` and what was kept.
void vr_dpdk_log_fail(vr_dpdk_failed *failed, int code, const char *what);

void vr_dpdk_register_thread(void);
extern __thread int vr_dpdk_thread_known;
static inline void vr_dpdk_know_thread(void) {
    if (__builtin_expect(!vr_dpdk_thread_known, 0)) vr_dpdk_register_thread();
}

static inline void vr_dpdk_describe(struct rte_mbuf *m, vr_frame *frame) {
    frame->buffer = m;
    frame->data = rte_pktmbuf_mtod(m, uint8_t *);
    frame->length = m->data_len;
    frame->headroom = m->data_off;
    frame->tailroom = (uint32_t)m->buf_len - m->data_off - m->data_len;
    frame->hash = m->ol_flags & RTE_MBUF_F_RX_RSS_HASH ? m->hash.rss : 0;
}

#endif
