#pragma once

#include "troupe/error.hpp"

#include <chrono>
#include <stdexcept>
#include <utility>

/// What the programs of this folder share: a failure ends them with its text.
namespace troupe {

template <class T> T must(result<T> r) {
  if (!r)
    throw std::runtime_error(to_string(r.error()));
  return std::move(*r);
}
inline void must(const error& failed) {
  if (failed)
    throw std::runtime_error(to_string(failed));
}

inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace troupe
