// SPDX-License-Identifier: Apache-2.0
//
// Whether civetweb serves TLS with this system's OpenSSL: one request over
// TLS to a server of our own on loopback. Exits 0 where it is answered;
// civetweb 1.15 crashes with OpenSSL 3. Run by CMake.
#include <arpa/inet.h>
#include <civetweb.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

namespace {

SSL_CTX* self_signed() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  return context;
}

int answer(mg_connection* connection) {
  mg_printf(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  return 200;
}

bool answered(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return false;
  SSL* client = SSL_new(SSL_CTX_new(TLS_client_method()));
  SSL_set_fd(client, fd);
  const char* const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  char reply[13] = {};
  return SSL_connect(client) == 1 &&
         SSL_write(client, request, static_cast<int>(strlen(request))) > 0 &&
         SSL_read(client, reply, 12) == 12 &&
         strcmp(reply, "HTTP/1.1 200") == 0;
}

}  // namespace

int main() {
  mg_init_library(MG_FEATURES_TLS);
  mg_callbacks callbacks{};
  callbacks.begin_request = answer;
  callbacks.external_ssl_ctx = [](void** context, void*) {
    *context = self_signed();
    return 1;
  };
  const char* settings[] = {"listening_ports", "127.0.0.1:0s", "num_threads",
                            "1", nullptr};
  mg_context* server = mg_start(&callbacks, nullptr, settings);
  if (server == nullptr) return 1;
  mg_server_port port{};
  mg_get_server_ports(server, 1, &port);
  return answered(port.port) ? 0 : 1;
}
