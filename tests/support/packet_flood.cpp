// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet_flood.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

namespace vcpu {
namespace {

// Each has its copy of each packet: few packets are much work.
constexpr int kReceivers = 500;
constexpr const char* kGroup = "224.1.1.1";

sockaddr_in address() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(5555);
  ::inet_pton(AF_INET, kGroup, &address.sin_addr);
  return address;
}

bool start_loopback() {
  const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{{"lo"}, {}};
  request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_MULTICAST;
  const bool done = ::ioctl(any, SIOCSIFFLAGS, &request) == 0;
  ::close(any);
  return done;
}

// The files of /sys are those of the network that mounts it.
bool steer_to(int cpu) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0)
    return false;
  std::ofstream file("/sys/class/net/lo/queues/rx-0/rps_cpus");
  file << std::hex << (1U << static_cast<unsigned>(cpu)) << std::flush;
  return file.good();
}

int join_group() {
  const int receiver = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  const int least = 1;  // What does not fit is dropped.
  const auto to = address();
  const ip_mreq group{to.sin_addr, {htonl(INADDR_LOOPBACK)}};
  ::setsockopt(receiver, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  ::setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
  if (::bind(receiver, reinterpret_cast<const sockaddr*>(&to), sizeof to) ==
          0 &&
      ::setsockopt(receiver, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group,
                   sizeof group) == 0)
    return receiver;
  ::close(receiver);
  return -1;
}

}  // namespace

std::unique_ptr<PacketFlood> PacketFlood::make(int from, int to) {
  std::unique_ptr<PacketFlood> flood(new PacketFlood);
  flood->from_ = from;
  bool made = false;
  // Only a thread that ends goes into the new network; its sockets stay there.
  std::thread([&] {
    made = ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && start_loopback() &&
           steer_to(to) && flood->open_sockets();
  }).join();
  return made ? std::move(flood) : nullptr;
}

bool PacketFlood::open_sockets() {
  const in_addr loopback{htonl(INADDR_LOOPBACK)};
  sender_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::setsockopt(sender_, IPPROTO_IP, IP_MULTICAST_IF, &loopback,
                   sizeof loopback) != 0)
    return false;
  for (int i = 0; i < kReceivers; ++i) {
    receivers_.push_back(join_group());
    if (receivers_.back() < 0) return false;
  }
  return true;
}

void PacketFlood::send(std::chrono::milliseconds duration) const {
  std::thread([&] {
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET(from_, &cpu);
    ::sched_setaffinity(0, sizeof cpu, &cpu);
    const auto to = address();
    const char packet[1000] = {};
    const auto until = std::chrono::steady_clock::now() + duration;
    while (std::chrono::steady_clock::now() < until)
      ::sendto(sender_, packet, sizeof packet, 0,
               reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }).join();
}

PacketFlood::~PacketFlood() {
  ::close(sender_);
  for (const int receiver : receivers_) ::close(receiver);
}

}  // namespace vcpu
