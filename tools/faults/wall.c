/* A wall clock of our own for one process: adds the seconds in the file $FAKE_WALL, read at each call, to CLOCK_REALTIME,
   and answers adjtimex(2) as the file says (1: synchronised). All other clocks, and so every wait, are left alone.
   gcc -shared -fPIC -O2 -o wall.so wall.c */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static void told(double *ahead, int *kept) {
    const char *path = getenv("FAKE_WALL");
    char text[64];
    long length;
    int file;
    *ahead = 0, *kept = 0;
    if (!path || (file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC)) < 0) return;
    length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    text[length > 0 ? length : 0] = 0;
    sscanf(text, "%lf %d", ahead, kept);
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, which, now), kept;
    double ahead;
    if (failed || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return failed;
    told(&ahead, &kept);
    now->tv_sec += (long)ahead;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &fine)) return -1;
    now->tv_sec = fine.tv_sec, now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *state) {
    double ahead;
    int kept;
    told(&ahead, &kept);
    state->status = kept ? STA_PLL : STA_UNSYNC;
    return kept ? TIME_OK : TIME_ERROR;
}
