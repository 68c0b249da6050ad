/* Loaded before the C library (LD_PRELOAD), it sees the changes a program makes to files, over all threads. With KILL_AT it
 * ends the program, as `kill -9` does, at the change of that number: before it is made, and a write in the middle. With
 * CHANGES it writes the path of whatever is changed to the file of that name, a line each; with SYNCS what is synced. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long left;
static int list = -1, syncs = -1;

static int listed(const char *variable) {
  const char *path = getenv(variable);
  return path ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

__attribute__((constructor)) static void begin(void) {
  const char *number = getenv("KILL_AT");
  left = number ? atol(number) : 0;
  list = listed("CHANGES");
  syncs = listed("SYNCS");
}

static int is_last(void) { return atomic_fetch_sub(&left, 1) == 1; }

static void end(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int is_file(int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

static void note(int at, const char *path) {
  char line[3 * PATH_MAX], link[64], folder[PATH_MAX] = "";
  if (list < 0) return;
  if (path[0] != '/') {
    snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    ssize_t length = readlink(link, folder, sizeof folder - 2);
    if (length > 0) strcpy(folder + length, "/");
  }
  int length = snprintf(line, sizeof line, "%s%s\n", folder, path);
  if (length > 0 && syscall(SYS_write, list, line, length) != length) end();
}

static void note_sync(int fd) {
  char line[PATH_MAX + 16], link[64], path[PATH_MAX] = "";
  struct stat about;
  if (syncs < 0 || fstat(fd, &about) != 0) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  if (readlink(link, path, sizeof path - 1) < 0) return;
  int length = snprintf(line, sizeof line, "%s %s\n", S_ISDIR(about.st_mode) ? "folder" : "file", path);
  if (length > 0 && syscall(SYS_write, syncs, line, length) != length) end();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define STEP() do { if (is_last()) end(); } while (0)

#define OPEN(name, at, parameters, arguments) \
  int name parameters { \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
    va_end(more); \
    if (flags & (O_CREAT | O_TRUNC)) STEP(); \
    if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC)) note(at, path); \
    return REAL(name) arguments; \
  }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))

#define CHANGE(name, seen, parameters, arguments) \
  int name parameters { \
    STEP(); \
    seen; \
    return REAL(name) arguments; \
  }
CHANGE(rename, (note(AT_FDCWD, from), note(AT_FDCWD, to)), (const char *from, const char *to), (from, to))
CHANGE(link, note(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CHANGE(linkat, note(there, to), (int here, const char *from, int there, const char *to, int flags),
       (here, from, there, to, flags))
CHANGE(symlink, note(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CHANGE(unlink, note(AT_FDCWD, path), (const char *path), (path))
CHANGE(unlinkat, note(at, path), (int at, const char *path, int flags), (at, path, flags))
CHANGE(mkdir, note(AT_FDCWD, path), (const char *path, mode_t mode), (path, mode))
CHANGE(rmdir, note(AT_FDCWD, path), (const char *path), (path))
CHANGE(chmod, note(AT_FDCWD, path), (const char *path, mode_t mode), (path, mode))
CHANGE(fsync, note_sync(fd), (int fd), (fd))
CHANGE(fdatasync, note_sync(fd), (int fd), (fd))
CHANGE(ftruncate, (void)0, (int fd, off_t size), (fd, size))
CHANGE(ftruncate64, (void)0, (int fd, off64_t size), (fd, size))

ssize_t write(int fd, const void *bytes, size_t count) {
  if (is_file(fd) && is_last()) {
    REAL(write)(fd, bytes, count / 2);
    end();
  }
  return REAL(write)(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
  if (is_file(fd)) STEP();
  return REAL(writev)(fd, pieces, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  if (is_file(fd) && is_last()) {
    REAL(pwrite64)(fd, bytes, count / 2, at);
    end();
  }
  return REAL(pwrite64)(fd, bytes, count, at);
}
