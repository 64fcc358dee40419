/* Stands between a program and the C library (LD_PRELOAD): counts the calls that touch files below one folder,
   writes them to a log, and at the n-th of them fails, or kills the process. See failing_calls.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <dirent.h>
#include <unistd.h>

enum { COUNT, FAIL, KILL, FULL, READ_ONLY };

static char root[PATH_MAX], but[PATH_MAX];
static int armed, mode, error_number, log_fd = -1;
static long nth, seen;

/* Count the calls below `folder`, but not below `except`, from now on; at the `at`-th do what `how` says. */
void faults_arm(const char *folder, const char *except, int how, long at, int error, const char *log) {
    snprintf(root, sizeof root, "%s", folder);
    snprintf(but, sizeof but, "%s", except);
    mode = how, nth = at, error_number = error, seen = 0;
    log_fd = *log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    __atomic_store_n(&armed, 1, __ATOMIC_SEQ_CST);
}

long faults_disarm(void) {
    __atomic_store_n(&armed, 0, __ATOMIC_SEQ_CST);
    return seen;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static const char *path_at(int folder, const char *path, char *out) {
    char from[64];
    ssize_t n;
    if (path && path[0] == '/') return path;
    if (folder == AT_FDCWD) snprintf(from, sizeof from, "/proc/self/cwd");
    else snprintf(from, sizeof from, "/proc/self/fd/%d", folder);
    n = readlink(from, out, PATH_MAX - 1);
    if (n < 0) return "";
    out[n] = 0;
    if (path && n + 1 + strlen(path) < PATH_MAX) { out[n] = '/'; strcpy(out + n + 1, path); }
    return out;
}

static int in(const char *path, const char *folder) {
    size_t n = strlen(folder);
    return n && !strncmp(path, folder, n) && (path[n] == '/' || !path[n]);
}

static int below(const char *path) {
    return path && in(path, root) && !in(path, but);
}

/* Return whether this call has to fail. `grows`: it takes room on the disk; `changes`: it needs the right to write. */
static int gate(const char *name, int grows, int changes, const char *one, const char *other) {
    long number;
    if (!__atomic_load_n(&armed, __ATOMIC_SEQ_CST) || !(below(one) || below(other))) return 0;
    number = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    if (log_fd >= 0) {
        char line[3 * PATH_MAX];
        int n = snprintf(line, sizeof line, "%s\t%s\t%s\n", name, one, other ? other : "");
        syscall(SYS_write, log_fd, line, n);
    }
    if (mode == FULL || mode == READ_ONLY) {
        if (number < nth || !(mode == FULL ? grows : changes)) return 0;
        errno = error_number;
        return 1;
    }
    if (number != nth) return 0;
    if (mode == KILL) die();
    errno = error_number;
    return mode == FAIL;
}

#define REAL(type, name, arguments) \
    static type(*real) arguments; \
    if (!real) real = (type(*) arguments)dlsym(RTLD_NEXT, #name);

#define OPEN(name, gated, parameters, base, flags, call) \
    int name parameters { \
        REAL(int, name, parameters) \
        char at[PATH_MAX]; mode_t rights = 0; va_list more; int result; \
        va_start(more, flags); if (flags & (O_CREAT | O_TMPFILE)) rights = va_arg(more, mode_t); va_end(more); \
        if (gate(gated, !!(flags & O_CREAT), !!(flags & (O_WRONLY | O_RDWR | O_CREAT)), path_at(base, path, at), 0)) \
            return -1; \
        result = call; return result; \
    }
OPEN(open, "open", (const char *path, int flags, ...), AT_FDCWD, flags, real(path, flags, rights))
OPEN(open64, "open", (const char *path, int flags, ...), AT_FDCWD, flags, real(path, flags, rights))
OPEN(openat, "open", (int folder, const char *path, int flags, ...), folder, flags, real(folder, path, flags, rights))
OPEN(openat64, "open", (int folder, const char *path, int flags, ...), folder, flags, real(folder, path, flags, rights))

#define FOPEN(name) \
    FILE *name(const char *path, const char *how) { \
        REAL(FILE *, name, (const char *, const char *)) \
        char at[PATH_MAX]; FILE *result; int writes = !!strpbrk(how, "wa+"); \
        if (gate("open", writes, writes, path_at(AT_FDCWD, path, at), 0)) return NULL; \
        result = real(path, how); return result; \
    }
FOPEN(fopen)
FOPEN(fopen64)

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, (const char *))
    char at[PATH_MAX]; DIR *result;
    if (gate("opendir", 0, 0, path_at(AT_FDCWD, path, at), 0)) return NULL;
    result = real(path); return result;
}

/* Calls on a descriptor. */
#define ON_FD(type, name, gated, grows, parameters, call) \
    type name parameters { \
        REAL(type, name, parameters) \
        char at[PATH_MAX]; type result; \
        if (armed && gate(gated, grows, 1, path_at(fd, 0, at), 0)) return -1; \
        result = real call; return result; \
    }
ON_FD(ssize_t, write, "write", 1, (int fd, const void *from, size_t n), (fd, from, n))
ON_FD(ssize_t, pwrite, "write", 1, (int fd, const void *from, size_t n, off_t at_), (fd, from, n, at_))
ON_FD(ssize_t, pwrite64, "write", 1, (int fd, const void *from, size_t n, off64_t at_), (fd, from, n, at_))
ON_FD(ssize_t, writev, "write", 1, (int fd, const struct iovec *from, int n), (fd, from, n))
ON_FD(ssize_t, pwritev, "write", 1, (int fd, const struct iovec *from, int n, off_t at_), (fd, from, n, at_))
ON_FD(ssize_t, pwritev64, "write", 1, (int fd, const struct iovec *from, int n, off64_t at_), (fd, from, n, at_))
ON_FD(int, fsync, "fsync", 0, (int fd), (fd))
ON_FD(int, fdatasync, "fsync", 0, (int fd), (fd))
ON_FD(int, ftruncate, "truncate", 1, (int fd, off_t n), (fd, n))
ON_FD(int, ftruncate64, "truncate", 1, (int fd, off64_t n), (fd, n))
ON_FD(int, fallocate, "fallocate", 1, (int fd, int how, off_t from, off_t n), (fd, how, from, n))
ON_FD(int, fallocate64, "fallocate", 1, (int fd, int how, off64_t from, off64_t n), (fd, how, from, n))
ON_FD(int, fchmod, "chmod", 0, (int fd, mode_t rights), (fd, rights))
ON_FD(int, flock, "flock", 0, (int fd, int how), (fd, how))
ON_FD(ssize_t, sendfile, "write", 1, (int fd, int from, off_t *at_, size_t n), (fd, from, at_, n))
ON_FD(ssize_t, sendfile64, "write", 1, (int fd, int from, off64_t *at_, size_t n), (fd, from, at_, n))

ssize_t copy_file_range(int from, off64_t *at_from, int fd, off64_t *at_to, size_t n, unsigned flags) {
    REAL(ssize_t, copy_file_range, (int, off64_t *, int, off64_t *, size_t, unsigned))
    char at[PATH_MAX]; ssize_t result;
    if (armed && gate("write", 1, 1, path_at(fd, 0, at), 0)) return -1;
    result = real(from, at_from, fd, at_to, n, flags); return result;
}

/* Calls on one path. */
#define ON_PATH(name, gated, grows, parameters, base, call) \
    int name parameters { \
        REAL(int, name, parameters) \
        char at[PATH_MAX]; int result; \
        if (gate(gated, grows, 1, path_at(base, path, at), 0)) return -1; \
        result = real call; return result; \
    }
ON_PATH(unlink, "unlink", 0, (const char *path), AT_FDCWD, (path))
ON_PATH(unlinkat, "unlink", 0, (int folder, const char *path, int how), folder, (folder, path, how))
ON_PATH(rmdir, "rmdir", 0, (const char *path), AT_FDCWD, (path))
ON_PATH(mkdir, "mkdir", 1, (const char *path, mode_t rights), AT_FDCWD, (path, rights))
ON_PATH(mkdirat, "mkdir", 1, (int folder, const char *path, mode_t rights), folder, (folder, path, rights))
ON_PATH(chmod, "chmod", 0, (const char *path, mode_t rights), AT_FDCWD, (path, rights))
ON_PATH(fchmodat, "chmod", 0, (int folder, const char *path, mode_t rights, int how), folder, (folder, path, rights, how))
ON_PATH(truncate, "truncate", 1, (const char *path, off_t n), AT_FDCWD, (path, n))
ON_PATH(truncate64, "truncate", 1, (const char *path, off64_t n), AT_FDCWD, (path, n))

/* Calls on two paths. */
#define ON_PATHS(name, gated, parameters, base, other_base, call) \
    int name parameters { \
        REAL(int, name, parameters) \
        char at[PATH_MAX], to[PATH_MAX]; int result; \
        if (gate(gated, 0, 1, path_at(base, path, at), path_at(other_base, other, to))) return -1; \
        result = real call; return result; \
    }
ON_PATHS(rename, "rename", (const char *path, const char *other), AT_FDCWD, AT_FDCWD, (path, other))
ON_PATHS(renameat, "rename", (int a, const char *path, int b, const char *other), a, b, (a, path, b, other))
ON_PATHS(renameat2, "rename", (int a, const char *path, int b, const char *other, unsigned how), a, b,
         (a, path, b, other, how))
ON_PATHS(link, "link", (const char *path, const char *other), AT_FDCWD, AT_FDCWD, (path, other))
ON_PATHS(linkat, "link", (int a, const char *path, int b, const char *other, int how), a, b, (a, path, b, other, how))
ON_PATHS(symlink, "link", (const char *path, const char *other), AT_FDCWD, AT_FDCWD, (path, other))

void sync(void) {
    REAL(void, sync, (void))
    gate("sync", 0, 0, root, 0);
    real();
}
