// Capture files in and out.
#include "counters.h"
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ETHERNET_HEADER = 14, SNAP_LENGTH = 262144 };

struct vr_pcap_file {
    pcap_t *input;
    pcap_t *format;
    pcap_dumper_t *output;
    uint64_t written;
    int ended;
    counted_side received, transmitted;
};

// 0, which the openers below return on failure.
static int fail(vr_pcap_failed *failed, enum vr_pcap_failure reason, const char *text) {
    failed->reason = reason;
    snprintf(failed->text, sizeof failed->text, "%s", text);
    return 0;
}

static int open_input(vr_pcap_file *file, const char *path, vr_pcap_failed *failed) {
    char text[PCAP_ERRBUF_SIZE] = "";
    file->input = pcap_open_offline(path, text);
    if (!file->input) return fail(failed, VR_PCAP_OTHER, text);
    int type = pcap_datalink(file->input);
    if (type == DLT_EN10MB) return 1;
    const char *name = pcap_datalink_val_to_name(type);
    snprintf(text, sizeof text, "%s", name ? name : "unknown");
    return fail(failed, VR_PCAP_NOT_ETHERNET, text);
}

static int open_output(vr_pcap_file *file, const char *path, vr_pcap_failed *failed) {
    struct stat in, out;
    if (file->input && fstat(fileno(pcap_file(file->input)), &in) == 0 && S_ISREG(in.st_mode) && stat(path, &out) == 0
        && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return fail(failed, VR_PCAP_OTHER, "it is the input file too, which writing would destroy");
    file->format = pcap_open_dead(DLT_EN10MB, SNAP_LENGTH);
    if (!file->format) return fail(failed, VR_PCAP_OTHER, strerror(ENOMEM));
    file->output = pcap_dump_open(file->format, path);
    return file->output ? 1 : fail(failed, VR_PCAP_OTHER, pcap_geterr(file->format));
}

vr_pcap_file *vr_pcap_file_open(const char *input, const char *output, vr_pcap_failed *failed) {
    vr_pcap_file *file = aligned_alloc(_Alignof(vr_pcap_file), sizeof(vr_pcap_file));
    if (!file) {
        fail(failed, VR_PCAP_OTHER, strerror(ENOMEM));
        return NULL;
    }
    memset(file, 0, sizeof *file);
    file->ended = input == NULL;
    failed->output = 0;
    int opened = !input || open_input(file, input, failed);
    if (opened && output) {
        failed->output = 1;
        opened = open_output(file, output, failed);
    }
    if (!opened) {
        vr_pcap_file_close(file);
        return NULL;
    }
    return file;
}

int vr_pcap_file_read(vr_pcap_file *file, vr_frame *frames, int count) {
    int filled = 0;
    uint64_t bytes = 0;
    while (filled < count && !file->ended) {
        struct pcap_pkthdr *header;
        const u_char *octets;
        int result = pcap_next_ex(file->input, &header, &octets);
        if (result != 1) {
            if (result != PCAP_ERROR_BREAK) vr_count(&file->received.errors, 1);
            __atomic_store_n(&file->ended, 1, __ATOMIC_RELAXED);
            break;
        }
        vr_frame *frame = &frames[filled];
        if (header->caplen < header->len || header->caplen < ETHERNET_HEADER || header->caplen > frame->tailroom) {
            vr_count(&file->received.errors, 1);
            continue;
        }
        memcpy(frame->data, octets, header->caplen);
        frame->length = header->caplen;
        frame->tailroom -= header->caplen;
        bytes += header->caplen;
        filled++;
    }
    vr_count(&file->received.packets, (uint64_t)filled);
    vr_count(&file->received.bytes, bytes);
    return filled;
}

int vr_pcap_file_ended(const vr_pcap_file *file) { return __atomic_load_n(&file->ended, __ATOMIC_RELAXED); }

int vr_pcap_file_write(vr_pcap_file *file, const vr_frame *frames, int count) {
    for (int i = 0; i < count; i++) {
        if (file->output) {
            struct pcap_pkthdr header = {.caplen = frames[i].length, .len = frames[i].length};
            header.ts.tv_sec = (time_t)(file->written / 1000000);
            header.ts.tv_usec = (suseconds_t)(file->written % 1000000);
            pcap_dump((u_char *)file->output, &header, frames[i].data);
            if (ferror(pcap_dump_file(file->output))) {
                clearerr(pcap_dump_file(file->output));
                vr_count(&file->transmitted.errors, 1);
                continue;
            }
            file->written++;
        }
        vr_count(&file->transmitted.packets, 1);
        vr_count(&file->transmitted.bytes, frames[i].length);
    }
    return count;
}

void vr_pcap_file_counters(vr_pcap_file *file, vr_pcap_counters *out) {
    vr_read_sides(&file->received, &file->transmitted, out);
}

void vr_pcap_file_flush(vr_pcap_file *file) {
    // Frames that only now turn out not to fit the disk were counted as sent already: say at least that something failed.
    if (file->output && pcap_dump_flush(file->output) != 0) vr_count(&file->transmitted.errors, 1);
}

void vr_pcap_file_close(vr_pcap_file *file) {
    if (file->output) pcap_dump_close(file->output);
    if (file->format) pcap_close(file->format);
    if (file->input) pcap_close(file->input);
    free(file);
}
