#include "node_system.hpp"

#include "troupe/wire.hpp"

#include <caf/io/middleman.hpp>
#include <caf/openssl/manager.hpp>

#include <chrono>

namespace troupe {

node_system_config::node_system_config(const node_config& config) {
  using namespace std::chrono_literals;
  add_wire_types(*this);
  set("scheduler.policy", caf::atom("sharing"));
  if (config.host.empty())
    return;
  load<caf::io::middleman>();
  set("middleman.workers", 0);
  set("middleman.heartbeat-interval", caf::timespan{1s});
  set("middleman.connection-timeout", caf::timespan{10s});
  if (config.tls_ca.empty())
    return;
  load<caf::openssl::manager>();
  openssl_certificate = config.tls_certificate.string();
  openssl_key = config.tls_key.string();
  openssl_cafile = config.tls_ca.string();
  set("openssl.certificate", openssl_certificate);
  set("openssl.key", openssl_key);
  set("openssl.cafile", openssl_cafile);
}

} // namespace troupe
