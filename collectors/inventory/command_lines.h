// SPDX-License-Identifier: Apache-2.0
//
// CommandLines: /proc/PID/cmdline of new processes, read off the scrape path.
//
// Reading it takes the process's mmap_lock, so it may hang for as long as that
// process does. It is therefore read once per process, by short-lived threads
// of at most kMaxReaders; a scrape waits a little for the new ones and goes on
// without those that hang: they join a later scrape.
//
// Anybody can make his own hang for good. So an ordinary user's are read by
// kUserReaders at most, all ordinary users' together by kOrdinaryReaders, and
// system users' come first: somebody always reads theirs.
//
// A process is known by its pid, start time and name, so that an exec (a
// launcher that turns into its VM) and a reused pid are read anew. Of each no
// more is kept than which VM it is: anybody may make his command line as long
// as the kernel lets him, and as often.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/inventory/vmm.h"

namespace vcpu {

class CommandLines {
 public:
  struct Key {
    pid_t pid = 0;
    std::uint64_t start_ticks = 0;
    std::string comm;
    bool operator<(const Key& other) const {
      return std::tie(pid, start_ticks, comm) <
             std::tie(other.pid, other.start_ticks, other.comm);
    }
  };
  // The text of the file; empty where the process has none.
  using Reader = std::function<Result<std::string>(pid_t)>;
  // Whose process it is, by its real uid; never blocks. Empty: not told, which
  // counts as one ordinary user.
  using OwnerOf = std::function<std::optional<uid_t>(pid_t)>;

  struct Found {
    bool read = false;             // False: not yet, or nothing could be.
    std::optional<VmIdentity> vm;  // Empty: it is none. Texts are label-safe.
  };

  static constexpr int kMaxReaders = 32;
  static constexpr int kOrdinaryReaders = 24;
  static constexpr int kUserReaders = 2;

  explicit CommandLines(const Roots& roots);
  // For tests: `reader` stands for reading the file, and may block.
  CommandLines(Reader reader, OwnerOf owner_of);

  // Asks for these processes and forgets all others. Waits at most `patience`
  // for those not asked before.
  void request(const std::vector<Key>& keys,
               std::chrono::milliseconds patience);

  Found find(const Key& key) const;

  // Processes whose command line has not come yet.
  std::size_t pending() const;

  // Why one of those asked for by the last request() could not be read, and
  // will be read again; empty: each could, or its process has ended.
  std::string problem() const;

 private:
  struct State;
  struct Waiting;
  // With the mutex held:
  void forget_all_but(const std::set<Key>& wanted);
  void start_readers();
  static std::optional<Waiting> take_next(State& state);

  static void read(const std::shared_ptr<State>& state, const Waiting& one);
  static void read_queued(const std::shared_ptr<State>& state, Waiting first);
  // Shared with readers, which may outlive this object if they hang.
  std::shared_ptr<State> state_;
};

}  // namespace vcpu
