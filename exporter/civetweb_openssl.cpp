// SPDX-License-Identifier: Apache-2.0
//
// What civetweb 1.15 lacks to work with OpenSSL 3.
//
// It looks OpenSSL's functions up at run time, in "libssl.so" and
// "libcrypto.so", which only development packages have; and among them
// SSL_get_peer_certificate, which OpenSSL 3 has under another name only, so
// that the first TLS connection calls a null pointer. Here a dlopen() of these
// two gives this very program, which is linked to OpenSSL and has that
// function.
//
// Part of the program only where CMake has tried civetweb without it, in vain
// (cmake/civetweb_tls.cpp).
#include <dlfcn.h>
#include <openssl/ssl.h>

#include <string_view>

#undef SSL_get_peer_certificate

extern "C" {

// Looked up by its name.
// NOLINTNEXTLINE(readability-identifier-naming)
__attribute__((visibility("default"))) X509* SSL_get_peer_certificate(
    const SSL* ssl) {
  return SSL_get1_peer_certificate(ssl);
}

void* dlopen(const char* file, int mode) noexcept {
  using Open = void* (*)(const char*, int);
  static const auto next = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "dlopen"));
  const std::string_view name = file == nullptr ? "" : file;
  const bool openssl = name == "libssl.so" || name == "libcrypto.so";
  return next(openssl ? nullptr : file, mode);
}

}  // extern "C"
