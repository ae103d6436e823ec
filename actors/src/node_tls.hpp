#pragma once

#include "troupe/error.hpp"
#include "troupe/node.hpp"

namespace troupe {

/// Reads the TLS files of a configuration and checks that a peer under the same CA could trust this node:
/// they parse, the key belongs to the certificate and needs no passphrase, the CA signed the certificate, and
/// both are valid now. `invalid_argument` says which file breaks which rule.
error check_tls_files(const node_config& config);

} // namespace troupe
