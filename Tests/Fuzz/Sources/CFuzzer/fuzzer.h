// libFuzzer as a function: it has no header of its own in the toolchain.
#ifndef VR_FUZZER_H
#define VR_FUZZER_H
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*run)(const uint8_t *data, size_t size));
#endif
