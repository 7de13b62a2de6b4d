// The buffer pool: rte_mempool's per-lcore caches stand for the lanes of the pool above.
#ifdef VR_DPDK
#include "internal.h"
#include <errno.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

enum { CACHE_SIZE = 256 };

static struct rte_mempool *mempool(const vr_dpdk_pool *pool) { return (struct rte_mempool *)pool; }

vr_dpdk_pool *vr_dpdk_pool_create(unsigned count, unsigned size, vr_dpdk_failed *failed) {
    if (size > UINT16_MAX || size < RTE_PKTMBUF_HEADROOM + 64) {
        vr_dpdk_log_fail(failed, EINVAL, "the buffer size is out of range");
        return NULL;
    }
    // rte_mempool wants at least 1.5 caches' worth; an eighth per cache keeps a small pool from drying up in them.
    unsigned cache = count / 8 < CACHE_SIZE ? count / 8 : CACHE_SIZE;
    vr_dpdk_log_hold();
    struct rte_mempool *made = rte_pktmbuf_pool_create("vrouter", count, cache, 0, (uint16_t)size, SOCKET_ID_ANY);
    if (!made) {
        vr_dpdk_log_fail(failed, rte_errno, "the mbuf pool cannot be made");
        return NULL;
    }
    vr_dpdk_log_pass();
    return (vr_dpdk_pool *)made;
}

int vr_dpdk_allocate(vr_dpdk_pool *pool, vr_frame *frames, int count) {
    struct rte_mbuf *mbufs[VR_BURST];
    vr_dpdk_know_thread();
    int filled = 0;
    while (filled < count) {
        unsigned wanted = (unsigned)(count - filled < VR_BURST ? count - filled : VR_BURST);
        // All or nothing: when all is not to be had, one by one to the end of the pool.
        if (rte_pktmbuf_alloc_bulk(mempool(pool), mbufs, wanted) != 0) {
            mbufs[0] = rte_pktmbuf_alloc(mempool(pool));
            if (!mbufs[0]) break;
            wanted = 1;
        }
        for (unsigned i = 0; i < wanted; i++) vr_dpdk_describe(mbufs[i], &frames[filled++]);
    }
    return filled;
}

void vr_dpdk_release(const vr_frame *frames, int count) {
    struct rte_mbuf *mbufs[VR_BURST];
    vr_dpdk_know_thread();
    for (int done = 0; done < count;) {
        unsigned some = 0;
        while (some < VR_BURST && done < count) mbufs[some++] = frames[done++].buffer;
        rte_pktmbuf_free_bulk(mbufs, some);
    }
}

// A chunk of an XDP socket's memory is a page at most, and holds the mempool's header and the mbuf, too; 256 octets of it are XDP's own.
enum { XDP_BUFFERS = 16384, XDP_CHUNK = 4096, XDP_ROOM = 3648 };

struct rte_mempool *vr_dpdk_xdp_pool(void) {
    static struct rte_mempool *pool;
    if (!pool) pool = rte_pktmbuf_pool_create("vrouter-xdp", XDP_BUFFERS, CACHE_SIZE, 0, XDP_ROOM, SOCKET_ID_ANY);
    return pool;
}

unsigned vr_dpdk_in_use(const vr_dpdk_pool *pool) { return rte_mempool_in_use_count(mempool(pool)); }

int vr_dpdk_headroom(void) { return RTE_PKTMBUF_HEADROOM; }
#endif
