// SPDX-License-Identifier: Apache-2.0
#include "tests/support/kernel_faults.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

// The names that the linker looks for: of what is called, and of what was
// meant.
extern "C" {
int real_open(const char* path, int flags, ...) __asm__("__real_open");
int real_openat(int at, const char* path, int flags,
                ...) __asm__("__real_openat");
int real_access(const char* path, int mode) __asm__("__real_access");
int real_close(int fd) __asm__("__real_close");
ssize_t real_read(int fd, void* to, std::size_t most) __asm__("__real_read");
ssize_t real_pread(int fd, void* to, std::size_t most,
                   off_t from) __asm__("__real_pread");
int real_pipe2(int* ends, int flags) __asm__("__real_pipe2");
DIR* real_fdopendir(int fd) __asm__("__real_fdopendir");
dirent* real_readdir(DIR* directory) __asm__("__real_readdir");
int real_closedir(DIR* directory) __asm__("__real_closedir");

int wrapped_open(const char* path, int flags, ...) __asm__("__wrap_open");
int wrapped_openat(int at, const char* path, int flags,
                   ...) __asm__("__wrap_openat");
int wrapped_access(const char* path, int mode) __asm__("__wrap_access");
int wrapped_close(int fd) __asm__("__wrap_close");
ssize_t wrapped_read(int fd, void* to, std::size_t most) __asm__("__wrap_read");
ssize_t wrapped_pread(int fd, void* to, std::size_t most,
                      off_t from) __asm__("__wrap_pread");
int wrapped_pipe2(int* ends, int flags) __asm__("__wrap_pipe2");
// Without libbpf nobody calls it.
int real_bpf_iter_create(int link) __asm__("__real_bpf_iter_create")
    __attribute__((weak));
int wrapped_bpf_iter_create(int link) __asm__("__wrap_bpf_iter_create");
DIR* wrapped_fdopendir(int fd) __asm__("__wrap_fdopendir");
dirent* wrapped_readdir(DIR* directory) __asm__("__wrap_readdir");
int wrapped_closedir(DIR* directory) __asm__("__wrap_closedir");
}

namespace vcpu {
namespace {

using Kind = KernelFault::Kind;

constexpr std::size_t kFew = 3;

struct State {
  std::string root;
  KernelFault fault;
  std::vector<KernelFaults::Call> calls;
  std::map<int, std::string> files;  // That are open below the root.
  std::set<int> at_end;              // Those that were cut off.
};

std::mutex mutex;
std::atomic<bool> active = false;
State state;

bool is_below(const std::string& path) {
  return path.compare(0, state.root.size(), state.root) == 0;
}

std::optional<std::string> path_of(int fd) {
  const std::lock_guard lock(mutex);
  const auto found = state.files.find(fd);
  if (found == state.files.end()) return std::nullopt;
  return found->second;
}

std::string pipe_path() {
  const std::lock_guard lock(mutex);
  return state.root + "/pipe";
}

// What is to happen to this call; nothing: what the kernel does.
std::optional<KernelFault> next(KernelCall call, const std::string& path) {
  const std::lock_guard lock(mutex);
  state.calls.push_back({call, path});
  if (state.calls.size() - 1 != state.fault.call) return std::nullopt;
  return state.fault;
}

// The same where that is an error, which is then in errno.
bool fails(KernelCall call, const std::string& path) {
  const auto fault = next(call, path);
  if (!fault || fault->kind != Kind::kError) return false;
  errno = fault->error;
  return true;
}

int opened(int fd, std::string path) {
  const std::lock_guard lock(mutex);
  if (fd >= 0) state.files[fd] = std::move(path);
  return fd;
}

void closed(int fd) {
  if (!active) return;
  const std::lock_guard lock(mutex);
  state.files.erase(fd);
  state.at_end.erase(fd);
}

ssize_t cut(int fd, ssize_t got, Kind kind) {
  if (got <= 0) return got;
  if (kind == Kind::kShortRead) return std::min<ssize_t>(got, kFew);
  const std::lock_guard lock(mutex);
  state.at_end.insert(fd);
  if (kind == Kind::kHalf) return got / 2;
  return kind == Kind::kLessTail ? std::max<ssize_t>(got - 2, 0) : 0;
}

bool is_at_end(int fd) {
  const std::lock_guard lock(mutex);
  return state.at_end.contains(fd);
}

}  // namespace

KernelFaults::KernelFaults(std::string root) {
  const std::lock_guard lock(mutex);
  state = {};
  state.root = std::move(root);
  active = true;
}

KernelFaults::~KernelFaults() { active = false; }

void KernelFaults::begin(const KernelFault& fault) {
  const std::lock_guard lock(mutex);
  state.calls.clear();
  state.fault = fault;
}

std::vector<KernelFaults::Call> KernelFaults::calls() {
  const std::lock_guard lock(mutex);
  return state.calls;
}

}  // namespace vcpu

using vcpu::KernelCall;

int wrapped_open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (!vcpu::active || !vcpu::is_below(path))
    return real_open(path, flags, mode);
  if (vcpu::fails(KernelCall::kOpen, path)) return -1;
  return vcpu::opened(real_open(path, flags, mode), path);
}

int wrapped_openat(int at, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  const auto directory =
      vcpu::active ? vcpu::path_of(at) : std::optional<std::string>();
  if (!directory) return real_openat(at, path, flags, mode);
  const std::string whole = *directory + "/" + path;
  if (vcpu::fails(KernelCall::kOpen, whole)) return -1;
  return vcpu::opened(real_openat(at, path, flags, mode), whole);
}

int wrapped_access(const char* path, int mode) {
  if (vcpu::active && vcpu::is_below(path) &&
      vcpu::fails(KernelCall::kAccess, path))
    return -1;
  return real_access(path, mode);
}

int wrapped_close(int fd) {
  vcpu::closed(fd);
  return real_close(fd);
}

int wrapped_closedir(DIR* directory) {
  vcpu::closed(::dirfd(directory));
  return real_closedir(directory);
}

ssize_t wrapped_read(int fd, void* to, std::size_t most) {
  const auto path =
      vcpu::active ? vcpu::path_of(fd) : std::optional<std::string>();
  if (!path) return real_read(fd, to, most);
  const auto fault = vcpu::next(KernelCall::kRead, *path);
  if (vcpu::is_at_end(fd)) return 0;
  if (!fault) return real_read(fd, to, most);
  if (fault->kind == vcpu::Kind::kError) {
    errno = fault->error;
    return -1;
  }
  if (fault->kind == vcpu::Kind::kShortRead) most = std::min(most, vcpu::kFew);
  return vcpu::cut(fd, real_read(fd, to, most), fault->kind);
}

// From the file as it is by now.
ssize_t wrapped_pread(int fd, void* to, std::size_t most, off_t from) {
  const auto path =
      vcpu::active ? vcpu::path_of(fd) : std::optional<std::string>();
  if (!path) return real_pread(fd, to, most, from);
  const auto fault = vcpu::next(KernelCall::kPread, *path);
  if (fault && fault->kind == vcpu::Kind::kError) {
    errno = fault->error;
    return -1;
  }
  if (vcpu::is_at_end(fd) && from > 0) return 0;
  const int now = real_open(path->c_str(), O_RDONLY | O_CLOEXEC);
  if (now < 0) return -1;
  auto got = real_pread(now, to, most, from);
  real_close(now);
  if (fault) got = vcpu::cut(fd, got, fault->kind);
  return got;
}

int wrapped_pipe2(int* ends, int flags) {
  const int made = real_pipe2(ends, flags);
  if (vcpu::active && made == 0) vcpu::opened(ends[0], vcpu::pipe_path());
  return made;
}

int wrapped_bpf_iter_create(int link) {
  const auto path =
      vcpu::active ? vcpu::path_of(link) : std::optional<std::string>();
  if (!path) return real_bpf_iter_create(link);
  if (vcpu::fails(KernelCall::kOpen, *path)) return -1;
  return vcpu::opened(real_open(path->c_str(), O_RDONLY | O_CLOEXEC), *path);
}

DIR* wrapped_fdopendir(int fd) {
  const auto path =
      vcpu::active ? vcpu::path_of(fd) : std::optional<std::string>();
  if (path && vcpu::fails(KernelCall::kList, *path)) return nullptr;
  return real_fdopendir(fd);
}

dirent* wrapped_readdir(DIR* directory) {
  const auto path = vcpu::active ? vcpu::path_of(::dirfd(directory))
                                 : std::optional<std::string>();
  if (path && vcpu::fails(KernelCall::kListNext, *path)) return nullptr;
  return real_readdir(directory);
}
