#pragma once

#include <cstddef>
#include <cstdint>

/// Where the fields of an entry's header and directory lie. docs/disk-format.md draws them.
namespace troupe::entry_layout {

// The header, entry_header::size bytes.
inline constexpr std::size_t magic_at = 0;    // u32
inline constexpr std::size_t version_at = 4;  // u16
inline constexpr std::size_t kind_at = 6;     // u16
inline constexpr std::size_t term_at = 8;     // u64
inline constexpr std::size_t index_at = 16;   // u64
inline constexpr std::size_t time_at = 24;    // i64
inline constexpr std::size_t length_at = 32;  // u32
inline constexpr std::size_t batches_at = 36; // u32
inline constexpr std::size_t queue_at = 40;   // u32
inline constexpr std::size_t crc_at = 44;     // u32
/// How many bytes from the start the checksum covers: what lies behind them has checksums of its own.
inline constexpr std::size_t covered_at = 48; // u32
/// Of an append; else 0.
inline constexpr std::size_t window_at = 52; // u32, milliseconds

// One record of the directory.
namespace record {
inline constexpr std::size_t size = 48;
inline constexpr std::size_t producer_at = 0;       // u64
inline constexpr std::size_t sequence_at = 8;       // u64
inline constexpr std::size_t epoch_at = 16;         // u32
inline constexpr std::size_t count_at = 20;         // u32
inline constexpr std::size_t size_at = 24;          // u32
inline constexpr std::size_t crc_at = 28;           // u32
inline constexpr std::size_t begin_at = 32;         // u32, from the entry's start
inline constexpr std::size_t first_ordinal_at = 36; // u32
inline constexpr std::size_t lane_at = 40;          // u8
inline constexpr std::size_t kind_at = 41;          // u8
inline constexpr std::size_t reserved_at = 42;      // 6 bytes, 0
} // namespace record

} // namespace troupe::entry_layout
