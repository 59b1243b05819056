/* SPDX-License-Identifier: MIT */
/* Preloaded into the program: the n-th call of one kind fails, once or from then on.
   FAIL_CALL = write, sync, rename, open, read, close, remove, fork, thread, memory; FAIL_AT = n; FAIL_ERRNO = number;
   FAIL_ALWAYS = 1: all later ones, too; FAIL_COUNT = file: the number of calls is written there at the end. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;
static long fail_at = -1;
static int fail_errno = EIO, always, armed;
static const char *kind = "", *count_file;

__attribute__((constructor)) static void arm(void) {
  if (getenv("FAIL_CALL")) kind = getenv("FAIL_CALL");
  if (getenv("FAIL_AT")) fail_at = atol(getenv("FAIL_AT"));
  if (getenv("FAIL_ERRNO")) fail_errno = atoi(getenv("FAIL_ERRNO"));
  always = getenv("FAIL_ALWAYS") != NULL;
  count_file = getenv("FAIL_COUNT");
  armed = 1;
}
__attribute__((destructor)) static void report(void) {
  if (!count_file) return;
  const int file = (int)syscall(SYS_openat, AT_FDCWD, count_file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  char text[32];
  const int length = snprintf(text, sizeof text, "%ld", atomic_load(&calls));
  if (file >= 0) (void)!syscall(SYS_write, file, text, length);
}
static int fails(const char* call) {
  if (!armed || strcmp(call, kind) != 0) return 0;
  const long now = atomic_fetch_add(&calls, 1) + 1;
  if (now != fail_at && !(always && fail_at > 0 && now > fail_at)) return 0;
  errno = fail_errno;
  return 1;
}

#define REAL(name)                       \
  static __typeof__(&name) real = NULL;  \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void* data, size_t count) {
  REAL(write);
  return file > 2 && fails("write") ? -1 : real(file, data, count);
}
ssize_t pwrite(int file, const void* data, size_t count, off_t at) {
  REAL(pwrite);
  return fails("write") ? -1 : real(file, data, count, at);
}
ssize_t pwrite64(int file, const void* data, size_t count, off64_t at) {
  REAL(pwrite64);
  return fails("write") ? -1 : real(file, data, count, at);
}
ssize_t read(int file, void* data, size_t count) {
  REAL(read);
  return fails("read") ? -1 : real(file, data, count);
}
ssize_t pread(int file, void* data, size_t count, off_t at) {
  REAL(pread);
  return fails("read") ? -1 : real(file, data, count, at);
}
ssize_t pread64(int file, void* data, size_t count, off64_t at) {
  REAL(pread64);
  return fails("read") ? -1 : real(file, data, count, at);
}
int fsync(int file) {
  REAL(fsync);
  return fails("sync") ? -1 : real(file);
}
int close(int file) {
  REAL(close);
  if (!fails("close")) return real(file);
  real(file);
  errno = fail_errno;
  return -1;
}
int unlink(const char* path) {
  REAL(unlink);
  return fails("remove") ? -1 : real(path);
}
int rename(const char* from, const char* to) {
  REAL(rename);
  return fails("rename") ? -1 : real(from, to);
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) {
  REAL(renameat2);
  return fails("rename") ? -1 : real(a, from, b, to, flags);
}
#define OPEN(name)                                \
  int name(const char* path, int flags, ...) {    \
    REAL(name);                                   \
    va_list more;                                 \
    va_start(more, flags);                        \
    const mode_t mode = va_arg(more, mode_t);     \
    va_end(more);                                 \
    return fails("open") ? -1 : real(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
pid_t fork(void) {
  REAL(fork);
  return fails("fork") ? -1 : real();
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) {
  REAL(pthread_create);
  return fails("thread") ? EAGAIN : real(thread, attributes, body, argument);
}
extern void* __libc_malloc(size_t);
void* malloc(size_t bytes) { return fails("memory") ? NULL : __libc_malloc(bytes); }
