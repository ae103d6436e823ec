// Included ahead of sources that use Cap'n Proto, when clang-tidy reads them; never when they are built.
//
// capnp/blob.h 0.9 compares `const char*` with kj::StringPtr, which has the comparison only the other way
// round. C++20 at first allowed the compiler to swap the sides, and GCC 12 does. P2468R2 took that back for
// types that declare both
// == and !=, and Clang 16 follows it. So here are both, the missing way round.
#pragma once

#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b == a; }
inline bool operator!=(const char* a, const StringPtr& b) { return !(b == a); }
} // namespace kj
