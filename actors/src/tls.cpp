#include "troupe/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <memory>
#include <string>

namespace troupe {

namespace {

template <class T, void (*Free)(T*)> struct freer {
  void operator()(T* x) const { Free(x); }
};
using certificate = std::unique_ptr<X509, freer<X509, X509_free>>;
using private_key = std::unique_ptr<EVP_PKEY, freer<EVP_PKEY, EVP_PKEY_free>>;
using store = std::unique_ptr<X509_STORE, freer<X509_STORE, X509_STORE_free>>;
using store_context = std::unique_ptr<X509_STORE_CTX, freer<X509_STORE_CTX, X509_STORE_CTX_free>>;

struct bio_freer {
  void operator()(BIO* x) const { BIO_free(x); }
};
using bio = std::unique_ptr<BIO, bio_freer>;

/// What OpenSSL said last, for people.
std::string last_reason() {
  auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = code ? ERR_reason_error_string(code) : nullptr;
  return text ? text : "no PEM data of that kind";
}

error bad(const std::string& what, const std::filesystem::path& file, const std::string& why) {
  return {errc::invalid_argument, what + ' ' + file.string() + ": " + why, "give a readable PEM file"};
}

/// A key behind a passphrase cannot be used: nobody is there to type it.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

} // namespace

error check_tls_files(const tls_paths& files) {
  const auto& [cert_file, key_file, ca_file] = files;
  ERR_clear_error();
  bio in{BIO_new_file(cert_file.c_str(), "r")};
  certificate own{in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr};
  if (!own)
    return bad("TLS certificate", cert_file, last_reason());
  in.reset(BIO_new_file(key_file.c_str(), "r"));
  bool asked = false;
  private_key key{in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, &asked) : nullptr};
  if (!key)
    return bad("TLS key", key_file,
               asked ? "it is encrypted; Troupe needs one without a passphrase" : last_reason());
  if (X509_check_private_key(own.get(), key.get()) != 1)
    return bad("TLS key", key_file, "it does not belong to the certificate " + cert_file.string());
  store trusted{X509_STORE_new()};
  if (!trusted || X509_STORE_load_file(trusted.get(), ca_file.c_str()) != 1)
    return bad("TLS CA", ca_file, last_reason());
  store_context check{X509_STORE_CTX_new()};
  if (!check || X509_STORE_CTX_init(check.get(), trusted.get(), own.get(), nullptr) != 1)
    return {errc::internal, "OpenSSL cannot verify: " + last_reason()};
  if (X509_verify_cert(check.get()) != 1) {
    const auto* why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()));
    return {errc::invalid_argument,
            "TLS certificate " + cert_file.string() + " is not trusted under the CA " + ca_file.string() +
                ": " + why,
            "let that CA sign it: every peer checks this"};
  }
  return {};
}

} // namespace troupe
