#pragma once

#include "lmdb.hpp"

#include "troupe/error.hpp"

#include <exception>
#include <new>

namespace troupe {

/// Calls `f`, which answers with a result or an error, and makes an error of what it throws: the border of
/// this layer.
template <class F> auto guarded(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const storage_error& e) {
    return to_error(e);
  } catch (const std::bad_alloc&) {
    return error{errc::overloaded, "out of memory", "give the node more memory", milliseconds{1000}};
  } catch (const std::exception& e) {
    return error{errc::storage_failed, e.what()};
  }
}

} // namespace troupe
