// SPDX-License-Identifier: Apache-2.0
//
// Senders: the clients that an answer is being sent to, so that one which takes
// it slowly can be dropped where others need its place.
//
// civetweb tells nobody its sockets, so a client's is looked up, by both ends,
// in /proc/self/fd when it is to be dropped; it cannot be another's by then, as
// it is not closed before its Sending has ended. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <string>

namespace vcpu {

// The two ends of a connection, as far as they tell it from all others.
struct Ends {
  std::string address;  // The client's, in numbers.
  int port = 0;         // The client's.
  int own_port = 0;
};

class Senders {
 private:
  struct Sender;

 public:
  using Clock = std::chrono::steady_clock;

  // Nobody is called slow before.
  static constexpr std::chrono::milliseconds kGrace{100};

  // An answer on its way, from its first byte to its end.
  class Sending {
   public:
    Sending(Senders& senders, Ends ends, Clock::time_point now = Clock::now());
    ~Sending();
    Sending(const Sending&) = delete;
    Sending& operator=(const Sending&) = delete;

    void sent(std::size_t bytes);

   private:
    Senders& senders_;
    std::list<Sender>::iterator self_;
  };

  // Ends the connection that took the fewest bytes a second, and what of it the
  // kernel still holds. False where all are gone or younger than kGrace.
  bool drop_slowest(Clock::time_point now = Clock::now());

 private:
  struct Sender {
    Ends ends;
    Clock::time_point since;
    std::size_t bytes = 0;
    bool dropped = false;
  };

  std::mutex mutex_;
  std::list<Sender> senders_;
};

}  // namespace vcpu
