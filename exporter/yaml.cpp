// SPDX-License-Identifier: Apache-2.0
#include "exporter/yaml.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "collectors/base/label_text.h"
#include "collectors/base/utf8.h"
#include "exporter/wording.h"

namespace vcpu {
namespace {

struct Refusal {
  int line;
  std::string what;
};

// Leaves yaml-cpp at the first event that is refused, so that what follows
// costs nothing. Never leaves parse_yaml().
class Refused final : public std::exception {
 public:
  explicit Refused(Refusal refusal) : refusal_(std::move(refusal)) {}
  const Refusal& refusal() const { return refusal_; }

 private:
  Refusal refusal_;
};

int line_of(const YAML::Mark& mark) { return mark.line + 1; }

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(int last_line) : last_line_(last_line) {}

  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      refuse(mark, "a second document starts here; leave only one");
    }
  }
  void OnDocumentEnd() override {}

  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    refuse(mark, "anchor " + in_quotes("&" + name) +
                     " is not accepted; write the value where it is needed, "
                     "in quotes if it begins with &");
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(mark,
           "an alias (*name) is not accepted; write the value where it "
           "is needed");
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    if (wants_key()) {
      refuse(mark, "a key is missing; write NAME: VALUE");
    }
    add(node(mark, YamlNode::Kind::kNull));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t /*anchor*/, const std::string& text) override {
    check_tag(mark, tag);
    if (wants_key()) {
      start_entry(mark, text);
      return;
    }
    YamlNode scalar = node(mark, YamlNode::Kind::kScalar);
    scalar.text = text;
    scalar.quoted = tag == "!";
    add(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {
    check_tag(mark, tag);
    open(mark, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {
    check_tag(mark, tag);
    open(mark, YamlNode::Kind::kMapping);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or mapping whose end has not been seen.
  struct Open {
    YamlNode node;
    std::optional<std::string> key;  // Of the entry whose value comes next.
    int key_line = 0;
    std::set<std::string, std::less<>> keys;
  };

  [[noreturn]] static void refuse(const YAML::Mark& mark, std::string what) {
    throw Refused({line_of(mark), std::move(what)});
  }

  // "?" is yaml-cpp's word for no tag, "!" for quotes.
  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, "tag " + in_quotes(tag) + " is not accepted; remove it");
    }
  }

  bool wants_key() const {
    return !open_.empty() &&
           open_.back().node.kind == YamlNode::Kind::kMapping &&
           !open_.back().key;
  }

  void start_entry(const YAML::Mark& mark, const std::string& key) {
    Open& mapping = open_.back();
    if (!mapping.keys.insert(key).second) {
      refuse(mark, "key " + in_quotes(key) + " is there twice; remove one");
    }
    mapping.key = key;
    mapping.key_line = line_of(mark);
  }

  YamlNode node(const YAML::Mark& mark, YamlNode::Kind kind) {
    YamlNode result;
    result.kind = kind;
    // What is left out at the end would stand in the line after it.
    result.line = std::min(line_of(mark), last_line_);
    if (!open_.empty() && open_.back().key) {
      result.key = *open_.back().key;
      result.line = open_.back().key_line;
    }
    return result;
  }

  void open(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (wants_key()) {
      refuse(mark, "a key must be a plain name; write NAME: VALUE");
    }
    if (open_.size() >= kMaxYamlDepth) {
      refuse(mark, "nested more than " + std::to_string(kMaxYamlDepth) +
                       " levels deep; no setting is that deep");
    }
    open_.push_back({node(mark, kind), std::nullopt, 0, {}});
  }

  void close() {
    YamlNode finished = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(finished));
  }

  void add(YamlNode value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    open_.back().key.reset();
    open_.back().node.children.push_back(std::move(value));
  }

  int last_line_;  // Of the text.
  YamlNode root_;
  std::vector<Open> open_;
  int documents_ = 0;
};

// yaml-cpp takes byte 4 for the end of the file and guesses at UTF-16, so what
// is no text never gets there.
std::optional<Refusal> not_text(std::string_view text) {
  int line = 1;
  while (!text.empty()) {
    const Utf8Char next = first_utf8(text);
    if (!next.valid) {
      return Refusal{line, "not valid UTF-8; save the file as UTF-8"};
    }
    const bool accepted = next.code == '\n' || next.code == '\r' ||
                          next.code == '\t' || !is_control(next.code);
    if (!accepted) {
      return Refusal{line, "control character " +
                               in_quotes(text.substr(0, next.bytes)) +
                               "; remove it"};
    }
    if (next.code == '\n') ++line;
    text.remove_prefix(next.bytes);
  }
  return std::nullopt;
}

ConfigError too_large(const std::string& file) {
  return {file + ": larger than " + std::to_string(kMaxConfigBytes) +
          " bytes; is this the right file?"};
}

YamlNode build_tree(std::string_view text) {
  // yaml-cpp takes a quote that is never closed for good where the file ends in
  // a line break; a last line without one keeps it from that.
  const bool whole_lines = text.empty() || text.back() == '\n';
  std::istringstream input{std::string(text) + (whole_lines ? "#" : "\n#")};
  YAML::Parser parser(input);
  const auto breaks = std::count(text.begin(), text.end(), '\n');
  TreeBuilder builder(
      std::max(1, static_cast<int>(breaks) + (whole_lines ? 0 : 1)));
  while (parser.HandleNextDocument(builder)) {
  }
  return builder.take_root();
}

ConfigError file_error(const std::string& file, int error) {
  return {"cannot read " + in_quotes(file) + ": " +
          std::generic_category().message(error)};
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor(FileDescriptor&&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::variant<std::string, ConfigError> read_all(int fd,
                                                const std::string& file) {
  std::string contents(kMaxConfigBytes + 1, '\0');
  std::size_t used = 0;
  while (used < contents.size()) {
    const ssize_t got = ::read(fd, &contents[used], contents.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(file, errno);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  if (used > kMaxConfigBytes) return too_large(file);
  contents.resize(used);
  return contents;
}

}  // namespace

std::variant<YamlNode, ConfigError> parse_yaml(std::string_view text,
                                               const std::string& file) {
  if (text.size() > kMaxConfigBytes) return too_large(file);
  if (const auto refusal = not_text(text)) {
    return config_error(file, refusal->line, refusal->what);
  }
  try {
    return build_tree(text);
  } catch (const Refused& refused) {
    return config_error(file, refused.refusal().line, refused.refusal().what);
  } catch (const YAML::Exception& e) {
    // It may repeat any byte of the text.
    return config_error(
        file, line_of(e.mark),
        "not valid YAML: " + label_text(e.msg) +
            "; look at the quotes and the indentation up to there");
  } catch (const std::exception& e) {
    return ConfigError{file + ": " + e.what()};
  }
}

std::variant<std::string, ConfigError> read_config_file(
    const std::string& file) {
  // Not waiting for a writer: a reload must not hang on a FIFO.
  const FileDescriptor opened(
      ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (opened.get() < 0) return file_error(file, errno);
  struct stat status {};
  if (::fstat(opened.get(), &status) != 0) return file_error(file, errno);
  if (!S_ISREG(status.st_mode)) {
    return ConfigError{"cannot read " + in_quotes(file) +
                       ": not a regular file; name a YAML file"};
  }
  return read_all(opened.get(), file);
}

ConfigError config_error(const std::string& file, int line,
                         const std::string& what) {
  return {file + ":" + std::to_string(line) + ": " + what};
}

std::string_view kind_name(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return node.quoted ? "a text in quotes" : "a single value";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMapping:
      break;
  }
  return "a mapping";
}

}  // namespace vcpu
