#pragma once

#include "troupe/error.hpp"

#include <filesystem>

namespace troupe {

/// The PEM files of one peer, a node or a client.
struct tls_paths {
  std::filesystem::path certificate;
  std::filesystem::path key;
  std::filesystem::path ca;
};

/// Reads the files and checks that a peer under the same CA could trust their owner: they parse, the key
/// belongs to the certificate and needs no passphrase, the CA signed the certificate, and both are valid now.
/// `invalid_argument` says which file breaks which rule. Any thread.
error check_tls_files(const tls_paths& files);

} // namespace troupe
