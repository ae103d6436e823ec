#pragma once

#include "guarded.hpp"

#include <string>

namespace troupe {

/// What decoding threw, as a text; empty when it went well.
template <class F> std::string complaint(F&& decode) {
  const auto err = guarded([&]() -> error {
    decode();
    return {};
  });
  return err ? err.reason : std::string();
}

} // namespace troupe
