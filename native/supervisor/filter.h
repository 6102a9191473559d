/* filter.h - the seccomp filter that has the kernel tell us of system calls. */
#ifndef MIRRORD_SUPERVISOR_FILTER_H
#define MIRRORD_SUPERVISOR_FILTER_H

/* For this thread and all that comes of it: the listener, or -errno (-EBUSY: it is told to somebody already). */
int filter_install(unsigned concerns);

#endif
