#include "lmdb.hpp"

#include <cerrno>
#include <string>

namespace troupe {

error to_error(const storage_error& e) {
  const std::string reason = std::string("the storage failed while ") + e.doing + ": " + mdb_strerror(e.code);
  switch (e.code) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
  case MDB_MAP_FULL:
    return {errc::no_space, std::string("no room on the disk while ") + e.doing + ": " + mdb_strerror(e.code),
            "free space on the disk, or shorten the retention of topics", std::chrono::seconds{1}};
  case MDB_VERSION_MISMATCH:
    return {errc::unknown_version, reason, "open the data directory with the version that wrote it"};
  case MDB_CORRUPTED:
  case MDB_PAGE_NOTFOUND:
  case MDB_INVALID:
    return {errc::corrupt, reason, "check the disk, then run trouped --verify"};
  case MDB_TXN_FULL:
    return {errc::too_large, reason, "commit fewer entries at a time"};
  case MDB_READERS_FULL:
    return {errc::overloaded, reason, {}, milliseconds{100}};
  default:
    return {errc::storage_failed, reason, "check the disk and the system's log, then restart the node"};
  }
}

} // namespace troupe
