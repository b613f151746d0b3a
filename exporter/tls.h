// SPDX-License-Identifier: Apache-2.0
//
// TLS as the web configuration file describes it, by OpenSSL: TLS 1.2 and 1.3,
// client certificates, HTTP/1.1 by ALPN.
//
// load_tls() reads the files and judges them; TlsSwitch is what a server is
// given: which LoadedTls holds is decided anew at each handshake, so that a
// changed certificate needs no restart, and connections keep what they began
// with. No session is resumed: each client is judged by what holds now.
//
// Where exporter-toolkit is more lenient, we refuse what it would ignore, or
// would trust without being told to:
//   - a client_ca_file without any certificate;
//   - verified client certificates without a client_ca_file, for which Go
//     trusts every authority of the system.
// As in Go, any certificate of client_ca_file is trusted by itself, whether or
// not its issuer is there too.
//
// Thread-safe; throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "exporter/config.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace vcpu {

// Where a certificate or key stands: in a file, or in the text itself.
struct PemSource {
  std::string name;  // "cert_file": what the configuration calls it.
  std::string file;
  std::string text;
  int line = 0;  // In the web configuration file.

  bool given() const { return !file.empty() || !text.empty(); }
};

enum class ClientAuth : std::uint8_t {
  kNone,              // NoClientCert
  kRequest,           // RequestClientCert
  kRequireAny,        // RequireAnyClientCert
  kVerifyIfGiven,     // VerifyClientCertIfGiven
  kRequireAndVerify,  // RequireAndVerifyClientCert
};

struct TlsConfig {
  PemSource cert;
  PemSource key;
  PemSource client_ca;
  ClientAuth client_auth = ClientAuth::kNone;

  // DNS names, addresses, mail addresses and URIs, of which a client's
  // certificate must have one. Empty: any will do.
  std::vector<std::string> allowed_sans;

  // By OpenSSL's names, in order of preference; empty: its defaults.
  std::vector<std::string> tls12_ciphers;
  std::vector<std::string> tls13_ciphers;
  std::vector<std::string> groups;

  bool tls12 = true;
  bool tls13 = true;
  bool prefer_server_ciphers = true;
};

struct LoadedTls {
  std::shared_ptr<ssl_ctx_st> context;
  std::vector<std::string>
      warnings;  // What to tell the operator, one line each.
};

// `config_file` is for messages only: "FILE:LINE: what is wrong; what to do".
std::variant<LoadedTls, ConfigError> load_tls(const TlsConfig& config,
                                              const std::string& config_file);

class TlsSwitch {
 public:
  explicit TlsSwitch(LoadedTls loaded);
  TlsSwitch(const TlsSwitch&) = delete;
  TlsSwitch& operator=(const TlsSwitch&) = delete;
  ~TlsSwitch() = default;

  // For handshakes that begin from now on.
  void use(const LoadedTls& loaded);

  // Valid as long as the switch is.
  ssl_ctx_st* context() const { return front_.get(); }

  // What holds now; for the handshake.
  std::shared_ptr<ssl_ctx_st> current() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> current_;
  std::shared_ptr<ssl_ctx_st> front_;
};

}  // namespace vcpu
