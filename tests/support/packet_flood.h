// SPDX-License-Identifier: Apache-2.0
//
// PacketFlood: more network packets for a CPU than it can handle beside its
// work. In a network of its own, where the loopback device hands the packets of
// one CPU to another (receive packet steering,
// Documentation/networking/scaling.rst).
#pragma once

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace vcpu {

class PacketFlood {
 public:
  // From CPU to CPU; null where no such network can be made.
  static std::unique_ptr<PacketFlood> make(int from, int to);
  ~PacketFlood();
  PacketFlood(const PacketFlood&) = delete;
  PacketFlood& operator=(const PacketFlood&) = delete;

  // Returns when it is over.
  void send(std::chrono::milliseconds duration) const;

 private:
  PacketFlood() = default;
  bool open_sockets();

  int from_ = 0;
  int sender_ = -1;
  std::vector<int> receivers_;
};

}  // namespace vcpu
