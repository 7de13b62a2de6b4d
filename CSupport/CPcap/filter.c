// libpcap's filter compiler.
#include "vr_pcap.h"
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdio.h>

// pcap_compile keeps state between its scanner and parser in older libpcap: one at a time.
static pthread_mutex_t compiling = PTHREAD_MUTEX_INITIALIZER;

int vr_pcap_compile(const char *text, vr_pcap_instruction *out, int capacity, char *error) {
    pcap_t *dead = pcap_open_dead(DLT_EN10MB, 262144);
    if (dead == NULL) {
        snprintf(error, VR_PCAP_ERROR_SIZE, "no memory");
        return -1;
    }
    struct bpf_program program;
    pthread_mutex_lock(&compiling);
    int result = pcap_compile(dead, &program, text, 1, PCAP_NETMASK_UNKNOWN);
    if (result != 0) snprintf(error, VR_PCAP_ERROR_SIZE, "%s", pcap_geterr(dead));
    pthread_mutex_unlock(&compiling);
    if (result == 0) {
        if ((int)program.bf_len > capacity) {
            snprintf(error, VR_PCAP_ERROR_SIZE, "the filter makes %u instructions; at most %d", program.bf_len, capacity);
            result = -1;
        } else {
            for (unsigned index = 0; index < program.bf_len; index++) {
                const struct bpf_insn *from = &program.bf_insns[index];
                out[index] = (vr_pcap_instruction){from->code, from->jt, from->jf, from->k};
            }
            result = (int)program.bf_len;
        }
        pcap_freecode(&program);
    }
    pcap_close(dead);
    return result;
}
