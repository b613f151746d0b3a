// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;

std::ptrdiff_t open_descriptors() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), {});
}

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string pattern = fs::temp_directory_path() / "file_test.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    root_ = pattern;
  }
  ~FileTest() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return root_ + "/" + name; }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

  std::string make_directory(const std::string& name) const {
    fs::create_directories(path(name));
    return path(name);
  }

  std::string root_;
};

TEST_F(FileTest, IsReadWhole) {
  const std::string bytes("a\0b\n\xff", 5);
  EXPECT_EQ(*read_file(write("some", bytes)), bytes);
}

TEST_F(FileTest, IsReadBeyondOnePage) {
  const std::string pages(10000, 'x');
  EXPECT_EQ(*read_file(write("pages", pages)), pages);
}

TEST_F(FileTest, OfNothingIsEmpty) {
  const auto text = read_file(write("empty", ""));
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "");
}

TEST_F(FileTest, WhoseSizeIsALieIsRead) {
  const auto text = read_file("/proc/self/stat");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->rfind(std::to_string(::getpid()) + " (", 0), 0U);
}

TEST_F(FileTest, ThatIsMissingIsGone) {
  const auto text = read_file(path("none"));
  ASSERT_FALSE(text);
  EXPECT_TRUE(is_gone(text.error()));
  EXPECT_EQ(text.error().context, path("none"));
}

TEST_F(FileTest, ThatIsADirectoryIsAnErrorButNotGone) {
  const auto text = read_file(make_directory("some"));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, std::errc::is_a_directory);
  EXPECT_EQ(text.error().context, path("some"));
  EXPECT_FALSE(is_gone(text.error()));
}

TEST_F(FileTest, ThatIsRefusedIsAnErrorButNotGone) {
  if (::geteuid() == 0) GTEST_SKIP() << "root is refused nothing";
  const auto secret = write("secret", "1");
  ::chmod(secret.c_str(), 0);
  const auto text = read_file(secret);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, std::errc::permission_denied);
  EXPECT_FALSE(is_gone(text.error()));
}

TEST_F(FileTest, IsReadUpToTheCap) {
  const auto big = write("big", std::string(kMaxFileBytes + 5000, 'x'));
  EXPECT_EQ(read_file(big)->size(), kMaxFileBytes);
}

TEST_F(FileTest, OfTheCapsSizeIsReadWhole) {
  const auto big = write("big", std::string(kMaxFileBytes, 'x'));
  EXPECT_EQ(read_file(big)->size(), kMaxFileBytes);
}

// A kernel file comes in pieces of any length.
TEST_F(FileTest, ThatComesInOddPiecesIsReadUpToTheCap) {
  const auto pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] {
    ::signal(SIGPIPE, SIG_IGN);
    const int fd = ::open(pipe.c_str(), O_WRONLY);
    const std::string piece(4095, 'x');
    while (::write(fd, piece.data(), piece.size()) > 0) continue;
    ::close(fd);
  });
  const auto text = read_file(pipe);
  writer.join();
  ASSERT_TRUE(text);
  EXPECT_EQ(text->size(), kMaxFileBytes);
}

TEST_F(FileTest, LeavesNoDescriptorOpen) {
  const auto some = write("some", "1");
  const auto directory = make_directory("d");
  const auto before = open_descriptors();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(read_file(some));
    EXPECT_FALSE(read_file(directory));
    EXPECT_TRUE(list_numbers(directory));
    EXPECT_TRUE(Directory::open(directory));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(FileTest, IsReadBelowADirectory) {
  make_directory("7");
  write("7/comm", "kvm\n");
  const auto seven = *Directory::open(path("7"));
  std::string text = "what was there before, and longer";
  ASSERT_TRUE(read_file_at(seven, "comm", text));
  EXPECT_EQ(text, "kvm\n");
}

TEST_F(FileTest, ThatIsMissingBelowADirectoryIsNamedInFull) {
  const auto directory = *Directory::open(make_directory("7"));
  std::string text;
  const auto read = read_file_at(directory, "comm", text);
  ASSERT_FALSE(read);
  EXPECT_TRUE(is_gone(read.error()));
  EXPECT_EQ(read.error().context, path("7/comm"));
}

TEST_F(FileTest, ThatCannotBeReadBelowADirectoryIsNamedInFull) {
  make_directory("7/task");
  const auto directory = *Directory::open(path("7"));
  std::string text;
  const auto read = read_file_at(directory, "task", text);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, std::errc::is_a_directory);
  EXPECT_EQ(read.error().context, path("7/task"));
}

TEST_F(FileTest, ADirectoryThatIsMissingIsGone) {
  const auto none = Directory::open(path("none"));
  ASSERT_FALSE(none);
  EXPECT_TRUE(is_gone(none.error()));
  EXPECT_EQ(none.error().context, path("none"));
}

TEST_F(FileTest, AFileIsNoDirectory) {
  const auto file = Directory::open(write("file", ""));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, std::errc::not_a_directory);
}

TEST_F(FileTest, ADirectoryKnowsItsPath) {
  const auto some = make_directory("some");
  EXPECT_EQ(Directory::open(some)->path(), some);
}

TEST_F(FileTest, ADirectoryMovesWithItsDescriptor) {
  const auto before = open_descriptors();
  {
    auto one = *Directory::open(make_directory("1"));
    auto two = *Directory::open(make_directory("2"));
    write("2/comm", "two");
    one = std::move(two);
    const Directory moved(std::move(one));
    std::string text;
    ASSERT_TRUE(read_file_at(moved, "comm", text));
    EXPECT_EQ(text, "two");
    EXPECT_EQ(moved.path(), path("2"));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(FileTest, ADirectoryReplacedIsNotTheOneThatWasOpened) {
  make_directory("7");
  write("7/comm", "old");
  const auto seven = *Directory::open(path("7"));
  fs::rename(path("7"), path("8"));
  make_directory("7");
  write("7/comm", "new");
  std::string text;
  ASSERT_TRUE(read_file_at(seven, "comm", text));
  EXPECT_EQ(text, "old");
}

TEST_F(FileTest, TheDirectoryOfAnEndedProcessIsGone) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto handle = Directory::open("/proc/" + std::to_string(child));
  ASSERT_TRUE(handle);
  std::string text;
  EXPECT_TRUE(read_file_at(*handle, "stat", text));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);

  const auto read = read_file_at(*handle, "stat", text);
  ASSERT_FALSE(read);
  EXPECT_TRUE(is_gone(read.error())) << read.error().message();
  const auto threads = list_numbers_at(*handle, "task");
  ASSERT_FALSE(threads);
  EXPECT_TRUE(is_gone(threads.error())) << threads.error().message();
}

TEST_F(FileTest, NumbersAreListedAscending) {
  for (const char* name : {"100", "9", "71", "0", "2147483647"})
    make_directory(name);
  EXPECT_THAT(*list_numbers(root_), ElementsAre(0, 9, 71, 100, 2147483647));
}

TEST_F(FileTest, OtherNamesAreNotListed) {
  for (const char* name : {"self", "7a", "a7", "-7", "+7", "7 ", " 7", "0x7",
                           "2147483648", "7.5", ".7"}) {
    make_directory(name);
  }
  make_directory("7");
  EXPECT_THAT(*list_numbers(root_), ElementsAre(7));
}

TEST_F(FileTest, AnEmptyDirectoryListsNothing) {
  const auto numbers = list_numbers(root_);
  ASSERT_TRUE(numbers);
  EXPECT_THAT(*numbers, IsEmpty());
}

TEST_F(FileTest, AMissingDirectoryListsAsGone) {
  const auto numbers = list_numbers(path("none"));
  ASSERT_FALSE(numbers);
  EXPECT_TRUE(is_gone(numbers.error()));
  EXPECT_EQ(numbers.error().context, path("none"));
}

TEST_F(FileTest, DirectoriesAreListedByName) {
  make_directory("group/vcpu0");
  make_directory("group/vcpu1/deep");
  write("group/cpu.max", "max 100000\n");
  EXPECT_THAT(*list_directories(path("group")),
              UnorderedElementsAre("vcpu0", "vcpu1"));
  const auto missing = list_directories(path("none"));
  ASSERT_FALSE(missing);
  EXPECT_TRUE(is_gone(missing.error()));
  EXPECT_EQ(missing.error().context, path("none"));
}

TEST_F(FileTest, NamesAreThoseOfLinksToo) {
  make_directory("device");
  make_directory("class");
  std::filesystem::create_directory_symlink(path("device"),
                                            path("class/hwmon0"));
  write("class/bind", "");
  EXPECT_THAT(*list_names(path("class")),
              UnorderedElementsAre("hwmon0", "bind"));
  EXPECT_THAT(*list_directories(path("class")), IsEmpty());
  EXPECT_TRUE(is_gone(list_names(path("none")).error()));
}

TEST_F(FileTest, TheEndOfAFileIsNoLongerThanAskedFor) {
  write("long", std::string(1 << 20, 'a') + "the end");
  EXPECT_EQ(*read_end(path("long"), 7), "the end");
  EXPECT_EQ(read_end(path("long"), 2 << 20)->size(), (1U << 20) + 7);
  EXPECT_EQ(read_end(path("none"), 7).error().context, path("none"));
  EXPECT_FALSE(read_end(path(""), 7));
}

TEST_F(FileTest, NumbersAreListedBelowADirectoryAgainAndAgain) {
  make_directory("7/task/71");
  make_directory("7/task/70");
  const auto seven = *Directory::open(path("7"));
  EXPECT_THAT(*list_numbers_at(seven, "task"), ElementsAre(70, 71));
  make_directory("7/task/72");
  EXPECT_THAT(*list_numbers_at(seven, "task"), ElementsAre(70, 71, 72));
}

TEST_F(FileTest, AMissingListBelowADirectoryIsNamedInFull) {
  const auto directory = *Directory::open(make_directory("7"));
  const auto numbers = list_numbers_at(directory, "task");
  ASSERT_FALSE(numbers);
  EXPECT_EQ(numbers.error().context, path("7/task"));
}

TEST(IsGone, MeansTheTwoErrorsOfAnEndedProcess) {
  const auto error = [](int number) {
    return Error{{number, std::generic_category()}, ""};
  };
  EXPECT_TRUE(is_gone(error(ENOENT)));
  EXPECT_TRUE(is_gone(error(ESRCH)));
  for (const int number : {EACCES, EPERM, EIO, EMFILE, ENOTDIR, EINVAL})
    EXPECT_FALSE(is_gone(error(number))) << number;
}

}  // namespace
}  // namespace vcpu
