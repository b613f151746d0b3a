// SPDX-License-Identifier: Apache-2.0
#include "exporter/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "exporter/wording.h"
#include "exporter/yaml.h"

namespace vcpu {
namespace {

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* owned) const {
    kFree(owned);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

// What a handshake takes from its SSL_CTX by hand, as SSL_set_SSL_CTX() brings
// the certificates alone.
struct HandshakeSettings {
  ClientAuth client_auth = ClientAuth::kNone;
  std::vector<std::string> allowed_sans;
  std::string tls12_ciphers;  // "A:B"; empty: the defaults.
  std::string tls13_ciphers;
  std::string groups;
  int min_version = TLS1_2_VERSION;
  int max_version = TLS1_3_VERSION;
  bool prefer_server_ciphers = true;
};

int settings_index() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* settings, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<HandshakeSettings*>(settings);
      });
  return index;
}

const HandshakeSettings& settings_of(const SSL_CTX* context) {
  return *static_cast<const HandshakeSettings*>(
      SSL_CTX_get_ex_data(context, settings_index()));
}

// Why OpenSSL has refused; clears its queue.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* const reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "OpenSSL refuses it" : reason;
}

std::string with_colons(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) {
    all += (all.empty() ? "" : ":") + name;
  }
  return all;
}

HandshakeSettings handshake_settings(const TlsConfig& config) {
  HandshakeSettings settings;
  settings.client_auth = config.client_auth;
  settings.allowed_sans = config.allowed_sans;
  settings.tls12_ciphers = with_colons(config.tls12_ciphers);
  settings.tls13_ciphers = with_colons(config.tls13_ciphers);
  settings.groups = with_colons(config.groups);
  if (!config.tls12) settings.min_version = TLS1_3_VERSION;
  if (!config.tls13) settings.max_version = TLS1_2_VERSION;
  settings.prefer_server_ciphers = config.prefer_server_ciphers;
  return settings;
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int size = ASN1_STRING_length(address);
  if (size != 4 && size != 16) return "";
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address),
            text.data(), text.size());
  return text.data();
}

std::string name_text(const GENERAL_NAME* name) {
  int type = 0;
  const void* const value = GENERAL_NAME_get0_value(name, &type);
  if (type == GEN_IPADD) {
    return address_text(static_cast<const ASN1_OCTET_STRING*>(value));
  }
  if (type != GEN_DNS && type != GEN_EMAIL && type != GEN_URI) return "";
  const auto* const text = static_cast<const ASN1_STRING*>(value);
  // With its length: a NUL in it must not make two names equal.
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

bool has_allowed_san(const X509* certificate,
                     const std::vector<std::string>& allowed) {
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string name = name_text(sk_GENERAL_NAME_value(names.get(), i));
    if (!name.empty() &&
        std::find(allowed.begin(), allowed.end(), name) != allowed.end()) {
      return true;
    }
  }
  return false;
}

// After OpenSSL's own judgement on each certificate of the client's chain.
int judge_client(int good, X509_STORE_CTX* chain) noexcept {
  const auto* const ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto& settings = settings_of(SSL_get_SSL_CTX(ssl));
  const bool verify = settings.client_auth == ClientAuth::kVerifyIfGiven ||
                      settings.client_auth == ClientAuth::kRequireAndVerify;
  if (!verify) return 1;
  if (good != 1 || X509_STORE_CTX_get_error_depth(chain) != 0) return good;
  if (settings.allowed_sans.empty()) return good;
  try {
    if (has_allowed_san(X509_STORE_CTX_get_current_cert(chain),
                        settings.allowed_sans)) {
      return 1;
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory is no admission.
  }
  X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

int verify_mode(ClientAuth auth) {
  switch (auth) {
    case ClientAuth::kNone:
      return SSL_VERIFY_NONE;
    case ClientAuth::kRequest:
    case ClientAuth::kVerifyIfGiven:
      return SSL_VERIFY_PEER;
    case ClientAuth::kRequireAny:
    case ClientAuth::kRequireAndVerify:
      break;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

bool apply(const HandshakeSettings& settings, SSL* ssl) {
  SSL_set_verify(ssl, verify_mode(settings.client_auth), judge_client);
  X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
  if (settings.prefer_server_ciphers) {
    SSL_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  const auto& [tls12, tls13, groups] =
      std::tie(settings.tls12_ciphers, settings.tls13_ciphers, settings.groups);
  return SSL_set_min_proto_version(ssl, settings.min_version) == 1 &&
         SSL_set_max_proto_version(ssl, settings.max_version) == 1 &&
         (tls12.empty() || SSL_set_cipher_list(ssl, tls12.c_str()) == 1) &&
         (tls13.empty() || SSL_set_ciphersuites(ssl, tls13.c_str()) == 1) &&
         (groups.empty() || SSL_set1_groups_list(ssl, groups.c_str()) == 1);
}

// A client that offers protocols by ALPN, and HTTP/1.1 not among them, would
// not understand us.
int choose_protocol(SSL* /*ssl*/, const unsigned char** chosen,
                    unsigned char* chosen_size, const unsigned char* offered,
                    unsigned offered_size, void* /*none*/) noexcept {
  static constexpr std::array<unsigned char, 9> kHttp11{8,   'h', 't', 't', 'p',
                                                        '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, chosen_size, kHttp11.data(), kHttp11.size(),
                            offered, offered_size);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                          : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Instead of OpenSSL's, which asks at the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/,
                void* /*none*/) noexcept {
  return -1;
}

using Problem = std::optional<std::string>;  // "WHAT; what to do", or nothing.

class Loader {
 public:
  Loader(const TlsConfig& config, const std::string& config_file)
      : config_(config), config_file_(config_file) {}

  std::variant<LoadedTls, ConfigError> load() && {
    context_.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    if (!context_) return ConfigError{"TLS: " + openssl_reason()};
    ERR_clear_error();
    SSL_CTX_set_alpn_select_cb(context_.get(), choose_protocol, nullptr);
    if (!take(config_.cert, &Loader::take_certificates) ||
        !take(config_.key, &Loader::take_key) ||
        !take(config_.client_ca, &Loader::take_client_ca) || !take_settings()) {
      return *std::move(error_);
    }
    return LoadedTls{std::move(context_), std::move(warnings_)};
  }

 private:
  bool take(const PemSource& source,
            Problem (Loader::*use)(const PemSource&, BIO*)) {
    if (!source.given()) return true;
    std::string text = source.text;
    if (!source.file.empty()) {
      auto read = read_config_file(source.file);
      if (const auto* error = std::get_if<ConfigError>(&read)) {
        return fail(source, unreadable(source, error->message));
      }
      text = std::get<std::string>(std::move(read));
    }
    const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    const Problem problem = (this->*use)(source, bio.get());
    OPENSSL_cleanse(text.data(), text.size());
    return !problem || fail(source, *problem);
  }

  static std::string unreadable(const PemSource& source,
                                const std::string& why) {
    return source.name + ": " + why + "; the exporter reads it as user " +
           std::to_string(geteuid()) + ", also when it changes";
  }

  static std::string called(const PemSource& source) {
    return source.name +
           (source.file.empty() ? "" : " " + in_quotes(source.file));
  }

  Problem take_certificates(const PemSource& source, BIO* bio) {
    const Certificate own(
        PEM_read_bio_X509(bio, nullptr, no_password, nullptr));
    if (!own) {
      return called(source) + " has no certificate in PEM; name one (" +
             openssl_reason() + ")";
    }
    if (SSL_CTX_use_certificate(context_.get(), own.get()) != 1) {
      return called(source) + " cannot be used: " + openssl_reason();
    }
    warn_of_dates(source, own.get());
    return each_certificate(source, bio, [this](X509* issuer) {
      return SSL_CTX_add1_chain_cert(context_.get(), issuer) == 1;
    });
  }

  // The rest of the file.
  template <typename Use>
  Problem each_certificate(const PemSource& source, BIO* bio, const Use& use) {
    while (const Certificate certificate{
        PEM_read_bio_X509(bio, nullptr, no_password, nullptr)}) {
      if (!use(certificate.get())) {
        return called(source) + " cannot be used: " + openssl_reason();
      }
    }
    const unsigned long code = ERR_peek_last_error();
    const bool ended = ERR_GET_LIB(code) == ERR_LIB_PEM &&
                       ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    const std::string reason = openssl_reason();
    if (ended) return std::nullopt;
    return called(source) + " is damaged: " + reason;
  }

  void warn_of_dates(const PemSource& source, const X509* certificate) {
    const char* what = nullptr;
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
      what = " has expired";
    } else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
      what = " is not valid yet";
    }
    if (what != nullptr) {
      warnings_.push_back("The certificate of " + called(source) + what +
                          ": clients will refuse it");
    }
  }

  Problem take_key(const PemSource& source, BIO* bio) {
    warn_of_rights(source);
    const Key key(PEM_read_bio_PrivateKey(bio, nullptr, no_password, nullptr));
    if (!key) {
      return called(source) +
             " has no private key in PEM without a password; name one (" +
             openssl_reason() + ")";
    }
    if (SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1 ||
        SSL_CTX_check_private_key(context_.get()) != 1) {
      return called(source) + " does not belong to the certificate of " +
             called(config_.cert) + ": " + openssl_reason();
    }
    return std::nullopt;
  }

  void warn_of_rights(const PemSource& source) {
    const std::string& file = source.file.empty() ? config_file_ : source.file;
    struct stat status {};
    if (::stat(file.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0) {
      warnings_.push_back(
          "Every user of this machine can read the private key in " +
          in_quotes(file) + "; take that right away (chmod o-r)");
    }
  }

  Problem take_client_ca(const PemSource& source, BIO* bio) {
    int count = 0;
    Problem problem = each_certificate(source, bio, [&](X509* authority) {
      ++count;
      return X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()),
                                 authority) == 1 &&
             SSL_CTX_add_client_CA(context_.get(), authority) == 1;
    });
    if (!problem && count == 0) {
      problem = called(source) +
                " has no certificate in PEM; name those of the authorities "
                "that sign clients' certificates";
    }
    return problem;
  }

  // What names OpenSSL does not know is found now, not at a handshake.
  bool take_settings() {
    auto settings =
        std::make_unique<HandshakeSettings>(handshake_settings(config_));
    const std::unique_ptr<SSL, Freed<SSL_free>> probe(SSL_new(context_.get()));
    if (!probe || !apply(*settings, probe.get())) {
      return fail(config_.cert,
                  "the OpenSSL of this system has not all of cipher_suites, "
                  "curve_preferences, min_version and max_version: " +
                      openssl_reason());
    }
    SSL_CTX_set_ex_data(context_.get(), settings_index(), settings.release());
    return true;
  }

  bool fail(const PemSource& source, const std::string& what) {
    error_ = config_error(config_file_, source.line, what);
    return false;
  }

  const TlsConfig& config_;
  const std::string& config_file_;
  std::shared_ptr<SSL_CTX> context_;
  std::vector<std::string> warnings_;
  std::optional<ConfigError> error_;
};

int choose_context(SSL* ssl, int* alert, void* tls_switch) noexcept {
  // Held by the SSL from SSL_set_SSL_CTX() on.
  const auto current = static_cast<const TlsSwitch*>(tls_switch)->current();
  if (SSL_set_SSL_CTX(ssl, current.get()) == nullptr ||
      !apply(settings_of(current.get()), ssl)) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

}  // namespace

std::variant<LoadedTls, ConfigError> load_tls(const TlsConfig& config,
                                              const std::string& config_file) {
  return Loader(config, config_file).load();
}

TlsSwitch::TlsSwitch(LoadedTls loaded)
    : current_(std::move(loaded.context)),
      front_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  if (!front_) throw std::bad_alloc();
  SSL_CTX* const front = front_.get();
  SSL_CTX_set_options(front, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(front, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(front, 0);
  // Else it would look among the clients' authorities for our own.
  SSL_CTX_set_mode(front, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_client_hello_cb(front, choose_context, this);
}

void TlsSwitch::use(const LoadedTls& loaded) {
  const std::lock_guard lock(mutex_);
  current_ = loaded.context;
}

std::shared_ptr<ssl_ctx_st> TlsSwitch::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

}  // namespace vcpu
