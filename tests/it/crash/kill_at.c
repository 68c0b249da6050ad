/* Loaded before the C library (LD_PRELOAD), it ends the process as `kill -9` does at the change to a file numbered KILL_AT,
 * counted over all threads: before it is made, and a write in the middle. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long left;

__attribute__((constructor)) static void begin(void) {
  const char *number = getenv("KILL_AT");
  left = number ? atol(number) : 0;
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

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define STEP() do { if (is_last()) end(); } while (0)

#define OPEN(name, parameters, arguments) \
  int name parameters { \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
    va_end(more); \
    if (flags & (O_CREAT | O_TRUNC)) STEP(); \
    return REAL(name) arguments; \
  }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))

#define CHANGE(name, parameters, arguments) \
  int name parameters { \
    STEP(); \
    return REAL(name) arguments; \
  }
CHANGE(rename, (const char *from, const char *to), (from, to))
CHANGE(link, (const char *from, const char *to), (from, to))
CHANGE(unlink, (const char *path), (path))
CHANGE(unlinkat, (int at, const char *path, int flags), (at, path, flags))
CHANGE(mkdir, (const char *path, mode_t mode), (path, mode))
CHANGE(rmdir, (const char *path), (path))
CHANGE(fsync, (int fd), (fd))
CHANGE(fdatasync, (int fd), (fd))
CHANGE(ftruncate, (int fd, off_t size), (fd, size))
CHANGE(ftruncate64, (int fd, off64_t size), (fd, size))

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
