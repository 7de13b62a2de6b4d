// Packets into the kernel's receive path without a device: BPF_PROG_TEST_RUN with live frames (Linux 5.18) builds a frame from memory, runs an XDP
// program on it that says "pass", and hands it on as if the loopback interface had received it.
#include "include/cbench.h"
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(enum bpf_cmd command, union bpf_attr *attributes) { return syscall(SYS_bpf, command, attributes, sizeof *attributes); }

// The page that a frame was in comes back with what the router wrote into it, so each is made new: destination address (that of loopback: zeros),
// TTL, header checksum.
int vb_kernel_program(int pass, const uint8_t *frame) {
    enum { ttl = 22, checksum = 24, least = 60 };
    uint16_t sum;
    memcpy(&sum, frame + checksum, sizeof sum);
    struct bpf_insn program[] = {
        // r2 = data, r3 = data_end; r4 = r2 + 60; beyond r3: drop
        {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct xdp_md, data)},
        {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 1, .off = offsetof(struct xdp_md, data_end)},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 2},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = least},
        {.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 6},
        {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 2, .off = 0, .imm = 0},
        {.code = BPF_ST | BPF_MEM | BPF_H, .dst_reg = 2, .off = 4, .imm = 0},
        {.code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = 2, .off = ttl, .imm = frame[ttl]},
        {.code = BPF_ST | BPF_MEM | BPF_H, .dst_reg = 2, .off = checksum, .imm = (int16_t)sum},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = pass ? XDP_PASS : XDP_DROP},
        {.code = BPF_JMP | BPF_EXIT},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_DROP},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.insns = (uint64_t)(uintptr_t)program;
    attributes.insn_cnt = sizeof program / sizeof *program;
    attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
    long descriptor = bpf(BPF_PROG_LOAD, &attributes);
    return descriptor < 0 ? -errno : (int)descriptor;
}

int vb_kernel_inject(int program, const uint8_t *frame, uint32_t length, uint32_t count) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.test.prog_fd = (uint32_t)program;
    attributes.test.data_in = (uint64_t)(uintptr_t)frame;
    attributes.test.data_size_in = length;
    attributes.test.repeat = count;
    attributes.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    attributes.test.batch_size = 64;
    return bpf(BPF_PROG_TEST_RUN, &attributes) < 0 ? -errno : 0;
}
