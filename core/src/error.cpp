#include "troupe/error.hpp"

namespace troupe {

std::string_view to_string(errc code) {
  switch (code) {
  case errc::none:
    return "none";
  case errc::invalid_argument:
    return "invalid_argument";
  case errc::too_large:
    return "too_large";
  case errc::not_found:
    return "not_found";
  case errc::already_exists:
    return "already_exists";
  case errc::overloaded:
    return "overloaded";
  case errc::no_space:
    return "no_space";
  case errc::storage_failed:
    return "storage_failed";
  case errc::corrupt:
    return "corrupt";
  case errc::disconnected:
    return "disconnected";
  case errc::timeout:
    return "timeout";
  case errc::shutting_down:
    return "shutting_down";
  case errc::lease_lost:
    return "lease_lost";
  case errc::gap:
    return "gap";
  case errc::unknown_producer:
    return "unknown_producer";
  case errc::fenced:
    return "fenced";
  case errc::unknown_version:
    return "unknown_version";
  case errc::in_use:
    return "in_use";
  case errc::not_supported:
    return "not_supported";
  case errc::inconsistent_subscription:
    return "inconsistent_subscription";
  case errc::internal:
    return "internal";
  case errc::conflict:
    return "conflict";
  }
  // A code that a newer peer sent.
  return "unknown";
}

std::string to_string(const error& err) {
  std::string text(to_string(err.code));
  if (!err.reason.empty())
    text.append(": ").append(err.reason);
  if (!err.hint.empty())
    text.append(" (").append(err.hint).append(")");
  return text;
}

} // namespace troupe
