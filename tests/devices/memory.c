/* Preloaded into a GPU's process: the "machine" has GPU_BYTES of memory, less what this process has allocated. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long allocated(void) {
    char line[256];
    long kib = 0;
    FILE * status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        if (!strncmp(line, "VmData:", 7)) kib = atol(line + 7);
    }
    if (status) fclose(status);
    return kib * 1024;
}

long sysconf(int name) {
    static long (*real)(int);
    static long start = -1;
    if (!real) real = (long (*)(int)) dlsym(RTLD_NEXT, "sysconf");
    const char * bytes = getenv("GPU_BYTES");
    if (name != _SC_PHYS_PAGES || !bytes) return real(name);
    if (start < 0) start = allocated();
    long left = atol(bytes) - (allocated() - start);
    return left > 0 ? left / real(_SC_PAGESIZE) : 0;
}
