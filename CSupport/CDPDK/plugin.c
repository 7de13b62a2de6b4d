// Functions of drivers that are no part of ethdev's interface.
#ifdef VR_DPDK
#include "internal.h"
#include <dlfcn.h>
#include <link.h>
#include <string.h>

typedef struct search {
    const char *library, *path;
} search;

static int compare(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    search *wanted = argument;
    if (!info->dlpi_name || !strstr(info->dlpi_name, wanted->library)) return 0;
    wanted->path = info->dlpi_name;
    return 1;
}

void *vr_dpdk_driver_symbol(const char *library, const char *name) {
    // A DPDK that is linked statically has it in the program.
    void *symbol = dlsym(RTLD_DEFAULT, name);
    if (symbol) return symbol;
    search wanted = {.library = library};
    if (!dl_iterate_phdr(compare, &wanted)) return NULL;
    // EAL keeps the driver loaded; this only finds it.
    void *driver = dlopen(wanted.path, RTLD_NOW | RTLD_NOLOAD);
    if (!driver) return NULL;
    symbol = dlsym(driver, name);
    dlclose(driver);
    return symbol;
}
#endif
