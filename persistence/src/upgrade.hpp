#pragma once

#include "lmdb.hpp"

#include <cstdint>

/// What an older directory lacks is made when it is opened, in this program's version.
namespace troupe {

/// The format version of an existing shard; 0 for one that is being made.
std::uint32_t format_version(const lmdb_txn& txn);

/// Makes table `ages` of a shard older than format version 4 out of its producers, in transactions of bounded
/// size: one that was interrupted is begun anew, because only the caller, afterwards, writes the new version.
void build_ages(MDB_env* env);

} // namespace troupe
